import { randomUUID } from 'node:crypto';
import { type Answer, Client } from '../support/client.js';
import { NoStream, type OpenedStream, openStream, textOf } from '../support/events.js';
import { tokenFor } from '../support/stack.js';
import { PACES } from './fleet.js';
import type { Random } from './random.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The longest any call may take, in milliseconds: a little more than the longest wait the service knows. */
const CALL_MS = 70_000;

/** The longest a turn may take from its first call to its end, in milliseconds: several attempts may be lost on the way. */
const TURN_MS = 180_000;

/** How long a client waits before it comes again, in milliseconds. */
const AGAIN_MS = [100, 500] as const;

/** How a client goes about a turn, and how often in comparison. */
const WAYS = { wait: 4, poll: 3, follow: 4, cancel: 1 } as const;

type Way = keyof typeof WAYS;

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

export interface LoadOptions {
  /** The APIs; a client takes any of them for each call. */
  readonly urls: readonly string[];
  readonly users: number;
  /** Sets this load's users and texts apart from all others of the same stack. */
  readonly name: string;
  readonly random: Random;
  /** Asked before each turn. */
  readonly enough: (turns: number) => boolean;
  /** Told of each call whose connection was refused or broke. */
  readonly broken?: (call: BrokenCall) => Promise<void>;
}

export interface BrokenCall {
  readonly error: Error;
  /** The text of the turn that was sent; undefined when the call was another. */
  readonly sent: string | undefined;
  /** The answer had begun. */
  readonly answered: boolean;
}

/** An end of a turn that no client may see; what it was is among the violations already. */
class Violated extends Error {}

/**
 * Many users who send one turn after the other, each in a way of its own, and take no answer but the right one. Where a
 * connection breaks, or the answer is 503, they come again with the same key.
 */
export class Load {
  readonly violations: string[] = [];
  readonly turns: SeenTurn[] = [];
  /** Calls that had to be made again. */
  repeated = 0;
  /** Turns begun so far. */
  sent = 0;

  constructor(private readonly options: LoadOptions) {}

  /** Resolves when there is enough, and every turn has ended. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.options.users }, (_, n) => this.user(n)));
  }

  private async user(n: number): Promise<void> {
    const user = new User(`${this.options.name}-user-${n}`, this.options, this.options.random.fork(n), {
      violation: (words) => void this.violations.push(words),
      repeated: () => void (this.repeated += 1),
    });
    let canceled = false;
    try {
      const chatId = await user.open();
      for (let turn = 1; !this.options.enough(this.sent); turn++) {
        this.sent += 1;
        const seen = await user.turn(chatId, turn, canceled);
        // What a cancel leaves without a reply is asked once more with the next turn: never much of it.
        canceled = seen.way === 'cancel';
        this.turns.push(seen);
      }
    } catch (error) {
      // A user who was answered wrongly sends no more.
      if (!(error instanceof Violated)) this.violations.push(`${user.name}: ${String(error)}`);
    }
  }
}

interface Notes {
  violation(words: string): void;
  repeated(): void;
}

/** What a turn is about while it is sent. */
interface Turn {
  readonly chatId: string;
  readonly text: string;
  readonly key: string;
  /** When its client gives up on the whole of it, in milliseconds since the epoch. */
  readonly deadline: number;
}

class User {
  constructor(
    readonly name: string,
    private readonly options: LoadOptions,
    private readonly random: Random,
    private readonly notes: Notes,
  ) {}

  /** Opens the chat. @returns its id */
  async open(): Promise<string> {
    const key = randomUUID();
    const { status, body } = await this.call('opening the chat', Date.now() + TURN_MS, undefined, (client) =>
      client.post('/api/v1/assistants/support/chats', undefined, { 'idempotency-key': key }),
    );
    if (status !== 200 && status !== 201) throw this.violated('opening the chat', status, body);
    return body.id as string;
  }

  async turn(chatId: string, number: number, noCancel: boolean): Promise<SeenTurn> {
    const pace = this.random.pick(Object.keys(PACES));
    const text = `${this.name}, question ${number}, ${pace}`;
    const way = this.random.weighted<Way>(noCancel ? { ...WAYS, cancel: 0 } : WAYS);
    const turn = { chatId, text, key: randomUUID(), deadline: Date.now() + TURN_MS };
    const job = await this[way](turn);
    const reply = job.assistant_message?.content as string | undefined;
    if (job.status !== 'succeeded' && !(job.status === 'canceled' && way === 'cancel')) {
      throw this.violated(`${text} (${way})`, job.status, job);
    }
    // The stand-in repeats what it was asked.
    if (job.status === 'succeeded' && !reply?.includes(text)) {
      throw this.violated(`${text} (${way}) was answered with another’s reply`, job.status, job);
    }
    return { user: this.name, text, way, jobId: job.id as string, status: job.status as string, reply };
  }

  /** Waits for the reply in the call that sends the turn, and on the job where that takes too long. */
  private async wait(turn: Turn): Promise<any> {
    const patience = this.random.pick<Record<string, string>>([{}, {}, { prefer: 'wait=3' }]);
    const { status, body } = await this.send(turn, patience);
    if (status === 202) return this.ended(turn, body.id as string);
    if (status !== 200) throw this.violated(turn.text, status, body);
    return { id: body.job_id, status: 'succeeded', assistant_message: body.assistant_message };
  }

  /** Does not wait, and asks again and again. */
  private async poll(turn: Turn): Promise<any> {
    const { status, body } = await this.send(turn, { prefer: 'respond-async' });
    if (status !== 202) throw this.violated(turn.text, status, body);
    return this.ended(turn, body.id as string);
  }

  /** Follows the events, on one API and another, and puts the text together from them. */
  private async follow(turn: Turn): Promise<any> {
    const what = `following ${turn.text}`;
    let jobId: string | undefined;
    let lastId: string | undefined;
    let text = '';
    for (;;) {
      const stream = await this.stream(turn, jobId, lastId);
      const opened = Date.now();
      try {
        for await (const event of stream.events) {
          if (event.event === 'job') jobId = event.data.id as string;
          text = textOf([event], text);
          lastId = event.id;
          if (event.id !== 'end') continue;
          const reply = (event.data.assistant_message?.content ?? '') as string;
          if (text !== reply) throw this.violated(`${what}: the events say "${text}"`, 200, event.data);
          return event.data;
        }
        // It ended before the job did: its API stops, or lost sight of PostgreSQL.
        this.again(what, turn.deadline);
      } catch (error) {
        if (error instanceof Violated) throw error;
        if (isTimeout(error)) await this.refuseIfOver(what, jobId, opened);
        else if (!isBroken(error)) throw this.violated(what, 0, String(error));
        else await this.options.broken?.({ error: error as Error, sent: undefined, answered: true });
        this.again(what, turn.deadline);
      } finally {
        stream.close();
      }
      await pause(this.random.between(...AGAIN_MS));
    }
  }

  /** Sends without waiting, thinks a moment, cancels; and finds the job canceled, or that it was too late. */
  private async cancel(turn: Turn): Promise<any> {
    const { status, body } = await this.send(turn, { prefer: 'respond-async' });
    if (status !== 202) throw this.violated(turn.text, status, body);
    const jobId = body.id as string;
    await pause(this.random.between(0, 800));
    const what = `canceling ${turn.text}`;
    const canceled = await this.call(what, turn.deadline, undefined, (client) =>
      client.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' }),
    );
    if (canceled.status !== 200 && canceled.body?.code !== 'invalid_transition') {
      throw this.violated(what, canceled.status, canceled.body);
    }
    const job = await this.ended(turn, jobId);
    const expected = canceled.status === 200 ? 'canceled' : 'succeeded';
    if (job.status !== expected) throw this.violated(`${what} was answered ${canceled.status}`, job.status, job);
    if (canceled.status === 200 && JSON.stringify(job) !== JSON.stringify(canceled.body)) {
      throw this.violated(`${what} was answered ${JSON.stringify(canceled.body)}`, job.status, job);
    }
    return job;
  }

  /** The answer to a turn, sent as often as it takes. */
  private send(turn: Turn, headers: Record<string, string>): Promise<Answer> {
    return this.call(`sending ${turn.text}`, turn.deadline, turn.text, (client) =>
      client.turn(turn.chatId, turn.text, { 'idempotency-key': turn.key, ...headers }),
    );
  }

  /** The job once it is final. */
  private async ended(turn: Turn, jobId: string): Promise<any> {
    const seconds = this.random.pick([1, 5, 20]);
    for (;;) {
      const what = `asking for the job ${jobId} of ${turn.text}`;
      const { status, body } = await this.call(what, turn.deadline, undefined, (client) =>
        client.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: `wait=${seconds}` } }),
      );
      if (status !== 200) throw this.violated(what, status, body);
      if (body.status !== 'queued' && body.status !== 'running') return body;
      if (Date.now() > turn.deadline) throw this.violated(`${what}: not over after ${TURN_MS} ms`, status, body);
    }
  }

  /** A stream of the turn's events: by sending it, until its job is known, and then by following that. */
  private async stream(turn: Turn, jobId: string | undefined, lastId: string | undefined): Promise<OpenedStream> {
    for (;;) {
      try {
        return await (jobId === undefined
          ? openStream(this.api(), tokenFor(this.name), `/api/v1/chats/${turn.chatId}/turns`, {
              body: { user_message: turn.text },
              headers: { 'idempotency-key': turn.key },
            })
          : openStream(this.api(), tokenFor(this.name), `/api/v1/jobs/${jobId}/events`, {
              headers: lastId === undefined ? {} : { 'last-event-id': lastId },
            }));
      } catch (error) {
        const what = `opening the stream of ${turn.text}`;
        if (error instanceof NoStream && error.status !== 503) throw this.violated(what, error.status, error.body);
        if (isTimeout(error)) throw this.violated(`${what} hung`, 0, String(error));
        if (!(error instanceof NoStream)) {
          if (!isBroken(error)) throw this.violated(what, 0, String(error));
          const sent = jobId === undefined ? turn.text : undefined;
          await this.options.broken?.({ error: error as Error, sent, answered: false });
        }
        this.again(what, turn.deadline);
        await pause(this.random.between(...AGAIN_MS));
      }
    }
  }

  /** A stream may last as long as its job does, and no longer. */
  private async refuseIfOver(what: string, jobId: string | undefined, opened: number): Promise<void> {
    if (jobId === undefined) throw this.violated(`${what}: no event in ${Date.now() - opened} ms`, 200, undefined);
    const { body } = await this.call(what, Date.now() + TURN_MS, undefined, (client) =>
      client.get(`/api/v1/jobs/${jobId}`),
    );
    if (body.finished_at !== null && Date.parse(body.finished_at as string) < Date.now() - 5_000) {
      throw this.violated(`${what}: hung, though the job had ended`, 200, body);
    }
  }

  /** Makes a call, which may be one that has `sent` a turn, on any API until it is answered with something other than 503. */
  private async call(
    what: string,
    deadline: number,
    sent: string | undefined,
    make: (client: Client) => Promise<Answer>,
  ): Promise<Answer> {
    for (;;) {
      const begun = Date.now();
      try {
        const answer = await make(new Client(this.api(), tokenFor(this.name)));
        if (answer.status === 500) this.violated(what, answer.status, answer.body);
        else if (answer.status !== 503) return answer;
      } catch (error) {
        if (isTimeout(error)) throw this.violated(`${what} hung for ${Date.now() - begun} ms`, 0, String(error));
        if (!isBroken(error)) throw this.violated(what, 0, String(error));
        const answered = (error as Error).message === 'terminated';
        await this.options.broken?.({ error: error as Error, sent, answered });
      }
      if (Date.now() > begun + CALL_MS) this.violated(`${what} took ${Date.now() - begun} ms`, 0, undefined);
      this.again(what, deadline);
      await pause(this.random.between(...AGAIN_MS));
    }
  }

  private again(what: string, deadline: number): void {
    this.notes.repeated();
    if (Date.now() > deadline) throw this.violated(`${what}: never answered`, 0, undefined);
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

/** Whether a call ended because its connection could not be made, or broke. */
function isBroken(error: unknown): boolean {
  // Not by its class: under Jest there are two of that name.
  const { name, message = '' } = error as Partial<Error>;
  return name === 'TypeError' && /fetch failed|terminated|other side closed/i.test(message);
}

function isTimeout(error: unknown): boolean {
  return (error as { name?: string }).name === 'TimeoutError';
}
