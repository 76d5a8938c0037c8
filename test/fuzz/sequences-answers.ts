import { isDeepStrictEqual } from 'node:util';
import type { Call } from './sequences-known.js';
import {
  asked,
  type Chat,
  type Facts,
  type Job,
  type Kept,
  openJob,
  print,
  type State,
  Wrong,
} from './sequences-state.js';
import type { Kind } from './sequences-steps.js';

/** The stand-in's replies. That of `ok` depends on the question. */
const REPLIES: Readonly<Partial<Record<Kind, string>>> = {
  hang: 'half a reply',
  slow: 'a slow reply',
  refuse: 'half refused',
};

/** Checks an answer against the state in which it is given. Every method throws `Wrong` for a wrong answer. */
export class Answered {
  constructor(
    protected readonly state: State,
    protected readonly call: Call,
    protected readonly facts: Facts,
  ) {}

  protected with(change: Partial<State>): State {
    return {
      chats: { ...this.state.chats, ...change.chats },
      jobs: { ...this.state.jobs, ...change.jobs },
      keys: { ...this.state.keys, ...change.keys },
    };
  }

  is(status: number, code?: string): State {
    const { answer } = this.call;
    const is = `${answer.status} ${answer.status >= 400 ? answer.body?.code : ''}`;
    if (answer.status !== status || (code !== undefined && answer.body?.code !== code)) {
      throw new Wrong(`the answer is ${is}, and must be ${status} ${code ?? ''}`);
    }
    return this.state;
  }

  protected same(is: unknown, must: unknown, what: string): void {
    if (!isDeepStrictEqual(is, must)) throw new Wrong(`${what}: is ${print(is)}, and must be ${print(must)}`);
  }

  protected must(holds: boolean, otherwise: string): void {
    if (!holds) throw new Wrong(otherwise);
  }

  /** The effect that the call's key is kept for. */
  protected kept(): Kept | 'reused' | undefined {
    const { key, print } = this.call;
    const kept = key === undefined ? undefined : this.state.keys[key];
    return kept === undefined || kept.print === print ? kept : 'reused';
  }

  /** The chat; undefined if the path names another assistant than the chat's. */
  protected chatByPath(): Chat | undefined {
    const chat = this.state.chats[this.call.chatId];
    const { request } = this.call;
    const slug = /\/assistants\/([a-z]+)\/chats\//.exec(request)?.[1];
    return slug === undefined || slug === chat?.assistant ? chat : undefined;
  }

  /** The job, if its chat exists. */
  protected job(): Job | undefined {
    const job = this.state.jobs[this.call.jobId];
    return job !== undefined && this.state.chats[job.chatId] !== undefined ? job : undefined;
  }

  /** The chat takes no turn. Then the answer must say why. */
  protected takesNothing(chatId: string): boolean {
    if (this.state.chats[chatId]?.status !== 'active') {
      this.is(409, 'chat_not_active');
      return true;
    }
    const open = openJob(this.state, chatId);
    if (open === null) return false;
    this.is(409, 'turn_in_progress');
    this.same(this.call.answer.body.job_id, open, 'the job in the way');
    return true;
  }

  /** The representation that the reader has: the body, or after a 304 the earlier one. */
  protected represented(body: unknown, match: Call['match']): unknown {
    const { answer } = this.call;
    if (answer.status === 304 && match?.body !== undefined) return match.body;
    this.is(200);
    this.must(match === undefined || answer.etag !== match.etag, 'it has the ETag that was sent, and is no 304');
    return body;
  }

  protected answersMessage({ chatId, seq }: Job, body: any): void {
    const message = this.facts.message(chatId, seq);
    if (message !== undefined) this.same(body.user_message_id, message.id, 'the message that the job answers');
  }

  jobIs(jobId: string, body: any): State {
    const job = this.state.jobs[jobId] as Job;
    this.same([body.id, body.chat_id], [jobId, job.chatId], 'the job');
    this.answersMessage(job, body);
    const isOpen = body.status === 'queued' || body.status === 'running';
    this.same(isOpen ? 'open' : body.status, job.status, 'the job’s state');
    if (job.final !== undefined) this.same(body, job.final, 'the job as it ended');
    const { created_at, started_at, finished_at } = body;
    const moments = [created_at, started_at, finished_at].filter((moment) => moment !== null);
    this.same(moments, [...moments].sort(), 'the order of the job’s moments');
    this.same(finished_at !== null, !isOpen, 'finished');
    this.same(body.error?.code, job.status === 'failed' ? 'model_rejected' : undefined, 'the job’s error');
    if (body.status === 'queued') this.must(!job.begun, 'it had begun, and is queued');
    const { messages } = this.state.chats[job.chatId] as Chat;
    const seq = messages.findIndex((message) => message.jobId === jobId) + 1;
    if (seq === 0) this.same(body.assistant_message, null, 'the job’s reply');
    else this.messagesAre(job.chatId, seq, seq, [body.assistant_message]);
    const begun = job.begun || body.status === 'running';
    return this.with({ jobs: { [jobId]: { ...job, begun, final: isOpen ? undefined : body } } });
  }

  /** How the chat differs from `body`; undefined: it cannot be known. */
  private chatDiffers(chatId: string, body: any): string | undefined | false {
    const chat = this.state.chats[chatId] as Chat;
    const last = this.facts.message(chatId, chat.messages.length)?.created_at as string | undefined;
    const expected = {
      id: chatId,
      assistant: chat.assistant,
      status: chat.status,
      title: chat.title,
      metadata: chat.metadata,
      unfinished_job_id: openJob(this.state, chatId),
      created_at: chat.createdAt,
      updated_at: chat.updatedAt,
      last_message_at: last ?? body.last_message_at,
    };
    if (!isDeepStrictEqual(body, expected)) return `it is ${print(expected)}, not ${print(body)}`;
    return last === undefined ? undefined : false;
  }

  chatIs(chatId: string, body: unknown): void {
    const difference = this.chatDiffers(chatId, body);
    if (difference) throw new Wrong(`the chat: ${difference}`);
  }

  /** The chat is as its caller saw it. If it is not, the answer must say so. */
  protected preconditionHolds(chatId: string): boolean {
    const { match, answer } = this.call;
    if (match === undefined || match.etag === '*') return true;
    const differs = match.body === undefined ? 'it never was' : this.chatDiffers(chatId, match.body);
    if (differs === undefined) return answer.status !== 412;
    if (differs === false) return true;
    this.is(412, 'precondition_failed');
    return false;
  }

  /** `atOnce`: the answer shows one moment. Otherwise `in_context` may come from a later one. */
  messagesAre(chatId: string, low: number, high: number, data: any[], atOnce = true): void {
    const messages = this.state.chats[chatId]?.messages ?? [];
    const numbers = Array.from({ length: Math.max(0, high - low + 1) }, (_, n) => low + n);
    this.same(
      data.map(({ seq }) => seq as number),
      numbers,
      'the numbers of the messages',
    );
    for (const body of data) {
      const expected = messages[body.seq - 1];
      if (expected === undefined) throw new Wrong(`there is no message ${body.seq}`);
      const { chat_id, role, job_id, content, status } = body;
      this.same([chat_id, role, job_id], [chatId, expected.role, expected.jobId], `message ${body.seq}`);
      if (expected.content !== undefined) this.same(content, expected.content, `message ${body.seq}`);
      const job = expected.jobId === null ? undefined : this.state.jobs[expected.jobId];
      const isCut = job?.status === 'canceled' || (job?.status === 'succeeded' && job.kind === 'refuse');
      this.same(status, isCut ? 'incomplete' : 'complete', `the status of message ${body.seq}`);
      const inContext = expected.leftOutBy === null ? undefined : false;
      if (atOnce) this.same(body.in_context, inContext, `in_context of message ${body.seq}`);
      if (job !== undefined) this.replyIs(job, content as string);
    }
  }

  private replyIs(job: Job, content: string): void {
    const { messages } = this.state.chats[job.chatId] as Chat;
    const whole = REPLIES[job.kind];
    // The stand-in repeats the question in one line.
    const question = asked(messages.slice(0, job.seq)).join(' ').slice(0, 100);
    if (whole !== undefined) this.must(whole.startsWith(content), `the reply is ${content}`);
    if (job.status === 'canceled') return;
    this.must(whole === undefined ? content.includes(question) : content === whole, `the reply is ${content}`);
  }
}
