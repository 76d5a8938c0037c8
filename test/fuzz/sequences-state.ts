import { isDeepStrictEqual } from 'node:util';
import type { Call } from './sequences-known.js';
import { type ChatStatus, type Kind, mark, SCRIPTS } from './sequences-steps.js';

/** An answer that a state does not allow. */
export class Wrong extends Error {}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | undefined;
  readonly jobId: string | null;
  /** The rejected job because of which later turns leave out this message; null: the model gets it. */
  readonly leftOutBy: string | null;
}

export interface Chat {
  readonly assistant: string;
  readonly status: ChatStatus;
  readonly title: string | null;
  readonly metadata: object;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly messages: readonly Message[];
}

export interface Job {
  readonly chatId: string;
  /** The number of the message that it answers. */
  readonly seq: number;
  readonly kind: Kind;
  readonly status: 'open' | 'succeeded' | 'failed' | 'canceled';
  readonly begun: boolean;
  /** The job as it was accepted, and as it ended, once an answer has shown that. */
  readonly accepted: unknown;
  readonly final: unknown;
}

export interface Kept {
  readonly print: string;
  readonly chatId: string;
  readonly opened?: { readonly status: number; readonly body: unknown };
  readonly jobId?: string;
  readonly seq?: number;
  /** Its chat is deleted, and the job is about to go, too. */
  readonly fades?: true;
}

export interface State {
  readonly chats: Readonly<Record<string, Chat>>;
  readonly jobs: Readonly<Record<string, Job>>;
  readonly keys: Readonly<Record<string, Kept>>;
}

export const NOTHING_YET: State = { chats: {}, jobs: {}, keys: {} };

/** Changes that happen by themselves: each job that ends without a request may have ended by now. */
export function mayHappen(state: State): State[] {
  return Object.entries(state.jobs)
    .filter(([, job]) => job.status === 'open' && job.kind !== 'hang' && state.chats[job.chatId] !== undefined)
    .map(([id, job]) => ended(state, id, job.kind === 'fail' ? 'failed' : 'succeeded', job.kind !== 'fail'));
}

/** The job of the turn in flight. */
export function openJob(state: State, chatId: string): string | null {
  return Object.entries(state.jobs).find(([, job]) => job.chatId === chatId && job.status === 'open')?.[0] ?? null;
}

/** The state after a job has ended, with an assistant's message or without one. */
export function ended(
  state: State,
  jobId: string,
  status: 'succeeded' | 'failed' | 'canceled',
  speaks: boolean,
): State {
  const job = state.jobs[jobId] as Job;
  const chat = state.chats[job.chatId] as Chat;
  // The model does not take a turn that it rejected or refused, so the next turn leaves it out.
  const leavesOut = status === 'failed' || (status === 'succeeded' && job.kind === 'refuse');
  const before = leavesOut ? leftOut(chat.messages, job.seq, jobId) : chat.messages;
  const reply = { role: 'assistant' as const, content: undefined, jobId, leftOutBy: leavesOut ? jobId : null };
  const messages = speaks ? [...before, reply] : before;
  return {
    ...state,
    jobs: { ...state.jobs, [jobId]: { ...job, status } },
    chats: { ...state.chats, [job.chatId]: { ...chat, messages } },
  };
}

/** The messages, with the turn that answers message `seq` left out: all that the user said since the last reply. */
function leftOut(messages: readonly Message[], seq: number, jobId: string): readonly Message[] {
  const from =
    messages.slice(0, seq - 1).findLastIndex((one) => one.role === 'assistant' && one.leftOutBy === null) + 1;
  const isAsked = (one: Message, n: number): boolean => one.role === 'user' && n >= from && n < seq;
  return messages.map((one, n) => (isAsked(one, n) && one.leftOutBy === null ? { ...one, leftOutBy: jobId } : one));
}

/** The messages, without those that this job left out being left out any more. */
export function takenIn(messages: readonly Message[], jobId: string | null): readonly Message[] {
  return messages.map((one) => (one.leftOutBy === jobId ? { ...one, leftOutBy: null } : one));
}

/**
 * The texts that the model gets from a turn that answers the last of these messages: that message, and those since the last reply, because
 * a turn that was canceled without a reply is asked again with the next. Messages that are left out do not count as a reply.
 */
export function asked(messages: readonly Message[]): string[] {
  const texts: string[] = [];
  for (const [back, { role, content, leftOutBy }] of [...messages].reverse().entries()) {
    if (leftOutBy !== null && back > 0) continue;
    if (role === 'assistant') break;
    if (role === 'user') texts.unshift(content ?? '');
  }
  return texts;
}

/** How a turn ends. The stand-in obeys the first known word that it finds. */
export function kindOf(messages: readonly Message[]): Kind {
  const texts = asked(messages);
  return SCRIPTS.map(([kind]) => kind).find((kind) => texts.some((text) => text.includes(mark(kind)))) ?? 'ok';
}

/** Every message that was seen, by chat and number. No message may look different later, except in `in_context`. */
export class Facts {
  private readonly messages = new Map<string, any>();

  constructor(calls: readonly Call[]) {
    for (const { answer } of calls) this.learn(answer.body);
  }

  message(chatId: string, seq: number): any {
    return this.messages.get(`${chatId} ${seq}`);
  }

  private learn(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const { chat_id, seq } = value as { chat_id?: string; seq?: number };
    if (chat_id !== undefined && seq !== undefined) {
      const name = `${chat_id} ${seq}`;
      const message = lasting(value);
      const known = this.messages.get(name) ?? message;
      if (!isDeepStrictEqual(known, message)) {
        throw new Wrong(`message ${name} is ${print(known)} and ${print(message)}`);
      }
      this.messages.set(name, message);
    } else Object.values(value).forEach((inner) => this.learn(inner));
  }
}

/** A message without `in_context`, which may change. */
export function lasting(message: object): object {
  const { in_context: _, ...rest } = message as { in_context?: false };
  return rest;
}

export const print = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
