import { setTimeout as pause } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { timeLimit } from '#process/time-limit.js';
import { type Answer, Client } from '../support/client.js';
import { NoStream, type OpenedStream, openStream, textOf } from '../support/events.js';
import { tokenFor } from '../support/stack.js';
import type { PACES } from './fleet.js';
import type { LoadOptions } from './load.js';
import type { Random } from './random.js';

/** The longest call, in milliseconds: a little more than the longest wait of the service. */
const CALL_MS = 70_000;

/** The longest turn from its first call to its end, in milliseconds: several attempts may be lost. */
const TURN_MS = 180_000;

/** How long a client waits before the next try, in milliseconds. */
const AGAIN_MS = [100, 500] as const;

/** The ways in which a client does a turn, with their weights. */
const WAYS = { wait: 4, poll: 3, follow: 4, hurry: 1.5, twice: 1.5, steps: 1, cancel: 1 } as const;

type Way = keyof typeof WAYS;

/** The paces of replies, with their weights. */
const OFTEN: Readonly<Record<keyof typeof PACES, number>> = { brisk: 4, even: 4, slow: 3, long: 1 };

/** A turn as its client saw it end. */
export interface SeenTurn {
  readonly user: string;
  readonly text: string;
  readonly way: Way;
  readonly jobId: string;
  readonly status: string;
  /** The assistant's message; undefined when there is none. */
  readonly reply: string | undefined;
}

/** A wrong answer. The violations name it already. */
export class Violated extends Error {}

/** The load was ended in the middle of a turn. */
export class Interrupted extends Error {}

interface Notes {
  violation(words: string): void;
  repeated(): void;
}

/** A turn that is being sent. */
interface Turn {
  readonly chatId: string;
  readonly text: string;
  readonly key: string;
  /** When its client gives up, in milliseconds since the epoch. */
  readonly deadline: number;
}

/**
 * One user, who takes any API for each call. If a connection breaks, or the answer is 503, the call is repeated with the same key. Any
 * other wrong answer is a violation.
 */
export class User {
  constructor(
    readonly name: string,
    private readonly options: Pick<LoadOptions, 'urls' | 'signal' | 'broken'>,
    private readonly random: Random,
    private readonly notes: Notes,
  ) {}

  /** Opens the chat. @returns its id */
  async open(): Promise<string> {
    const headers = { 'idempotency-key': randomUUID() };
    const deadline = Date.now() + TURN_MS;
    const { status, body } = await this.call('opening the chat', deadline, (client) =>
      client.post('/api/v1/assistants/support/chats', undefined, headers),
    );
    if (status !== 200 && status !== 201) throw this.violated('opening the chat', status, body);
    return body.id as string;
  }

  async turn(chatId: string, number: number, noCancel: boolean): Promise<SeenTurn> {
    const pace = this.random.weighted(OFTEN);
    const text = `${this.name}, question ${number}, ${pace}`;
    const way = this.random.weighted<Way>(noCancel ? { ...WAYS, cancel: 0 } : WAYS);
    const job = await this[way]({ chatId, text, key: randomUUID(), deadline: Date.now() + TURN_MS });
    const reply = job.assistant_message?.content as string | undefined;
    // Its attempts were lost again and again: `chaos.ts` checks that in the ledger.
    const isExhausted = job.status === 'failed' && job.error?.code === 'attempts_exhausted';
    if (job.status !== 'succeeded' && !isExhausted && !(job.status === 'canceled' && way === 'cancel')) {
      throw this.violated(`${text} (${way})`, job.status, job);
    }
    // The stand-in's reply repeats the question.
    if (job.status === 'succeeded' && !reply?.includes(text)) {
      throw this.violated(`${text} (${way}) was answered with another’s reply`, job.status, job);
    }
    return { user: this.name, text, way, jobId: job.id as string, status: job.status as string, reply };
  }

  /** Waits for the reply in the request that sends the turn, and then on the job if that takes too long. */
  private async wait(turn: Turn): Promise<any> {
    const patience = this.random.pick<Record<string, string>>([{}, {}, { prefer: 'wait=3' }]);
    const { status, body } = await this.send(turn, patience);
    if (status === 202) return this.ended(turn, body.id as string);
    if (status === 502 && body.job_error === 'attempts_exhausted') {
      return { id: body.job_id, status: 'failed', error: { code: body.job_error } };
    }
    if (status !== 200) throw this.violated(turn.text, status, body);
    return { id: body.job_id, status: 'succeeded', assistant_message: body.assistant_message };
  }

  /** Polls the job. */
  private async poll(turn: Turn): Promise<any> {
    return this.ended(turn, await this.sendAsync(turn));
  }

  /** Follows the events, on changing APIs. */
  private follow(turn: Turn): Promise<any> {
    return this.events(turn, undefined);
  }

  /** Leaves before the answer comes, and sends the turn again. */
  private async hurry(turn: Turn): Promise<any> {
    const leave = timeLimit(Math.round(this.random.between(1, 400))).signal;
    const client = new Client(this.api(), tokenFor(this.name));
    const path = `/api/v1/chats/${turn.chatId}/turns`;
    const options = { body: { user_message: turn.text }, headers: { 'idempotency-key': turn.key }, signal: leave };
    const first = await client.request('POST', path, options).catch((error: unknown) => {
      if (isTimeout(error) || isBroken(error)) return undefined;
      throw this.violated(turn.text, 0, String(error));
    });
    const job = await this.wait(turn);
    const id = first?.body.job_id as string | undefined;
    if (id !== undefined && id !== job.id) throw this.violated(`${turn.text} is the job ${id} and another`, 200, job);
    return job;
  }

  /** Sends the same turn twice at once, with one key. Both must get the same answer. */
  private async twice(turn: Turn): Promise<any> {
    const [one, other] = await Promise.all([this.wait(turn), this.wait(turn)]);
    if (one.id !== other.id || one.assistant_message?.id !== other.assistant_message?.id) {
      throw this.violated(`${turn.text}, sent twice with one key, is ${JSON.stringify(one)} and`, 200, other);
    }
    return one;
  }

  /** Stores the message first, then asks for its reply. */
  private async steps(turn: Turn): Promise<any> {
    const headers = { 'idempotency-key': turn.key };
    const stored = await this.call(`storing ${turn.text}`, turn.deadline, (client) =>
      client.post(`/api/v1/chats/${turn.chatId}/messages`, { content: turn.text }, headers),
    );
    if (stored.status !== 201) throw this.violated(`storing ${turn.text}`, stored.status, stored.body);
    const what = `asking for a reply to ${turn.text}`;
    const replyKey = { 'idempotency-key': randomUUID() };
    const { status, body } = await this.call(what, turn.deadline, (client) =>
      client.post('/api/v1/jobs/assistant-reply', { chat_id: turn.chatId }, replyKey),
    );
    if (status !== 202 || body.user_message_id !== stored.body.id) throw this.violated(what, status, body);
    return this.ended(turn, body.id as string);
  }

  /** Sends the turn without waiting, and cancels it after a moment. The job must be canceled, or have ended before. */
  private async cancel(turn: Turn): Promise<any> {
    const jobId = await this.sendAsync(turn);
    const what = `canceling ${turn.text}`;
    const thought = pause(this.random.between(0, 800));
    const watches = this.random.next() < 0.5;
    const [canceled, job] = await Promise.all([
      thought.then(() =>
        this.call(what, turn.deadline, (client) => client.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' })),
      ),
      watches ? this.events(turn, jobId) : thought.then(() => this.ended(turn, jobId)),
    ]);
    if (canceled.status !== 200 && canceled.body?.code !== 'invalid_transition') {
      throw this.violated(what, canceled.status, canceled.body);
    }
    const expected = canceled.status === 200 ? 'canceled' : 'succeeded';
    if (job.status !== expected) throw this.violated(`${what} was answered ${canceled.status}`, job.status, job);
    if (canceled.status === 200 && JSON.stringify(job) !== JSON.stringify(canceled.body)) {
      throw this.violated(`${what} was answered ${JSON.stringify(canceled.body)}`, job.status, job);
    }
    return job;
  }

  /** The answer to a turn, which is sent until there is one. */
  private send(turn: Turn, headers: Record<string, string>): Promise<Answer> {
    return this.call(`sending ${turn.text}`, turn.deadline, (client) =>
      client.turn(turn.chatId, turn.text, { 'idempotency-key': turn.key, ...headers }),
    );
  }

  /** Sends a turn without waiting. @returns its job's id */
  private async sendAsync(turn: Turn): Promise<string> {
    const { status, body } = await this.send(turn, { prefer: 'respond-async' });
    if (status !== 202) throw this.violated(turn.text, status, body);
    return body.id as string;
  }

  /** The job once it is final. */
  private async ended(turn: Turn, jobId: string): Promise<any> {
    const seconds = this.random.pick([1, 5, 20]);
    const what = `asking for the job ${jobId} of ${turn.text}`;
    for (;;) {
      const { status, body } = await this.call(what, turn.deadline, (client) =>
        client.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: `wait=${seconds}` } }),
      );
      if (status !== 200) throw this.violated(what, status, body);
      if (body.status !== 'queued' && body.status !== 'running') return body;
      if (Date.now() > turn.deadline) throw this.violated(`${what}: not over after ${TURN_MS} ms`, status, body);
      this.refuseInterrupted();
    }
  }

  /**
   * The final job, from its events: those of the request that sends the turn, until the job is known, and then those of the job. Assembles
   * the text from them, leaves at random, and resumes from the last event.
   */
  private async events(turn: Turn, known: string | undefined): Promise<any> {
    const what = `following ${turn.text}`;
    let jobId = known;
    let lastId: string | undefined;
    let text = '';
    for (;;) {
      const stream = await this.stream(turn, jobId, lastId);
      const opened = Date.now();
      let events = this.random.next() < 0.3 ? Math.ceil(this.random.between(0, 10)) : Infinity;
      try {
        for await (const event of stream.events) {
          if (event.event === 'job') jobId = event.data.id as string;
          text = textOf([event], text);
          lastId = event.id;
          if (event.id === 'end') return this.checked(what, text, event.data);
          // Only once the job is known: then the stream is resumed, not the turn sent again.
          if (--events <= 0 && jobId !== undefined) break;
        }
        // We left, or the stream ended before the job: its API stops, or has lost PostgreSQL.
        if (events > 0) this.again(what, turn.deadline);
      } catch (error) {
        if (error instanceof Violated || error instanceof Interrupted) throw error;
        if (isTimeout(error)) await this.refuseIfOver(what, jobId, opened);
        else if (!isBroken(error)) throw this.violated(what, 0, String(error));
        else this.options.broken?.({ error: error as Error, what, requestId: stream.requestId, answered: true });
        this.again(what, turn.deadline);
      } finally {
        stream.close();
      }
      await pause(this.random.between(...AGAIN_MS));
    }
  }

  /** The shown text must be the reply's. A canceled reply may be shorter. */
  private checked(what: string, text: string, job: any): any {
    const reply = (job.assistant_message?.content ?? '') as string;
    const same = job.status === 'canceled' ? text.startsWith(reply) : text === reply;
    if (!same) throw this.violated(`${what}: the events say "${text}"`, 200, job);
    return job;
  }

  private async stream(
    turn: Turn,
    jobId: string | undefined,
    lastId: string | undefined,
  ): Promise<OpenedStream & { requestId: string }> {
    const what = `opening the stream of ${turn.text}`;
    for (;;) {
      const requestId = randomUUID();
      try {
        const stream = await (jobId === undefined
          ? openStream(this.api(), tokenFor(this.name), `/api/v1/chats/${turn.chatId}/turns`, {
              body: { user_message: turn.text },
              headers: { 'idempotency-key': turn.key, 'x-request-id': requestId },
            })
          : openStream(this.api(), tokenFor(this.name), `/api/v1/jobs/${jobId}/events`, {
              headers: { 'x-request-id': requestId, ...(lastId !== undefined && { 'last-event-id': lastId }) },
            }));
        return { ...stream, requestId };
      } catch (error) {
        if (error instanceof NoStream && error.status !== 503) throw this.violated(what, error.status, error.body);
        if (isTimeout(error)) throw this.violated(`${what} hung`, 0, String(error));
        if (!(error instanceof NoStream)) {
          if (!isBroken(error)) throw this.violated(what, 0, String(error));
          this.options.broken?.({ error: error as Error, what, requestId, answered: false });
        }
        this.again(what, turn.deadline);
        await pause(this.random.between(...AGAIN_MS));
      }
    }
  }

  /** A stream may last as long as its job, and no longer. */
  private async refuseIfOver(what: string, jobId: string | undefined, opened: number): Promise<void> {
    if (jobId === undefined) throw this.violated(`${what}: no event in ${Date.now() - opened} ms`, 200, undefined);
    const { body } = await this.call(what, Date.now() + TURN_MS, (client) => client.get(`/api/v1/jobs/${jobId}`));
    if (body.finished_at !== null && Date.parse(body.finished_at as string) < Date.now() - 5_000) {
      throw this.violated(`${what}: hung, though the job had ended`, 200, body);
    }
  }

  /** Makes a call, on any API, until its answer is not 503. */
  private async call(what: string, deadline: number, make: (client: Client) => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const begun = Date.now();
      const requestId = randomUUID();
      try {
        const answer = await make(new Client(this.api(), tokenFor(this.name), { 'x-request-id': requestId }));
        if (answer.status === 500) this.violated(what, answer.status, answer.body);
        else if (answer.status !== 503) return answer;
      } catch (error) {
        // The client's own limit is CALL_MS.
        if (isTimeout(error)) throw this.violated(`${what} hung for ${Date.now() - begun} ms`, 0, String(error));
        if (!isBroken(error)) throw this.violated(what, 0, String(error));
        const answered = (error as Error).message === 'terminated';
        this.options.broken?.({ error: error as Error, what, requestId, answered });
      }
      if (Date.now() > begun + CALL_MS) this.violated(`${what} took ${Date.now() - begun} ms`, 0, undefined);
      this.again(what, deadline);
      await pause(this.random.between(...AGAIN_MS));
    }
  }

  private again(what: string, deadline: number): void {
    this.refuseInterrupted();
    this.notes.repeated();
    if (Date.now() > deadline) throw this.violated(`${what}: never answered`, 0, undefined);
  }

  private refuseInterrupted(): void {
    if (this.options.signal?.aborted) throw new Interrupted();
  }

  private api(): string {
    return this.random.pick(this.options.urls);
  }

  private violated(what: string, status: number | string, body: unknown): Violated {
    const words = `${what}: ${status} ${JSON.stringify(body)?.slice(0, 1_500) ?? ''}`;
    this.notes.violation(words);
    return new Violated(words);
  }
}

/** The call ended because its connection was refused or broke. */
function isBroken(error: unknown): boolean {
  // The name decides, because under Jest there are two classes of that name.
  const { name, message = '' } = error as Partial<Error>;
  return name === 'TypeError' && /fetch failed|terminated|other side closed/i.test(message);
}

function isTimeout(error: unknown): boolean {
  return (error as { name?: string }).name === 'TimeoutError';
}
