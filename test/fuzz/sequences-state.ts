import { isDeepStrictEqual } from 'node:util';
import type { Call } from './sequences-known.js';
import { type ChatStatus, type Kind, mark, SCRIPTS } from './sequences-steps.js';

/** An answer that a state does not allow. */
export class Wrong extends Error {}

export interface Said {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | undefined;
  readonly jobId: string | null;
  /** The job that the model did not take, and for whose sake it is not sent this with later turns; null: it is sent it. */
  readonly leftOutBy: string | null;
}

export interface Chat {
  readonly assistant: string;
  readonly status: ChatStatus;
  readonly title: string | null;
  readonly metadata: object;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly messages: readonly Said[];
}

export interface Job {
  readonly chatId: string;
  /** The number of the message it answers. */
  readonly seq: number;
  readonly kind: Kind;
  readonly status: 'open' | 'succeeded' | 'failed' | 'canceled';
  readonly begun: boolean;
  /** As it was accepted, and as it ended, once somebody was told. */
  readonly accepted: unknown;
  readonly final: unknown;
}

export interface Kept {
  readonly print: string;
  readonly chatId: string;
  readonly opened?: { readonly status: number; readonly body: unknown };
  readonly jobId?: string;
  readonly seq?: number;
  /** Its chat is deleted; it is about to be forgotten. */
  readonly fades?: true;
}

export interface State {
  readonly chats: Readonly<Record<string, Chat>>;
  readonly jobs: Readonly<Record<string, Job>>;
  readonly keys: Readonly<Record<string, Kept>>;
}

export const NOTHING_YET: State = { chats: {}, jobs: {}, keys: {} };

/** What happens by itself: each job that ends without anybody's doing may have ended by now. */
export function mayHappen(state: State): State[] {
  return Object.entries(state.jobs)
    .filter(([, job]) => job.status === 'open' && job.kind !== 'hang' && state.chats[job.chatId] !== undefined)
    .map(([id, job]) => ended(state, id, job.kind === 'fail' ? 'failed' : 'succeeded', job.kind !== 'fail'));
}

/** The job of the turn in flight. */
export function openJob(state: State, chatId: string): string | null {
  return Object.entries(state.jobs).find(([, job]) => job.chatId === chatId && job.status === 'open')?.[0] ?? null;
}

/** The state once a job has ended, with a message of the assistant's or without. */
export function ended(
  state: State,
  jobId: string,
  status: 'succeeded' | 'failed' | 'canceled',
  speaks: boolean,
): State {
  const job = state.jobs[jobId] as Job;
  const chat = state.chats[job.chatId] as Chat;
  // A turn that was rejected or refused is one that the model does not take: the next one stands without it.
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

/** The messages once a turn that answers the message `seq` has left out what it asked: all that the user said since the last reply. */
function leftOut(messages: readonly Said[], seq: number, jobId: string): readonly Said[] {
  const from =
    messages.slice(0, seq - 1).findLastIndex((one) => one.role === 'assistant' && one.leftOutBy === null) + 1;
  const isAsked = (one: Said, n: number): boolean => one.role === 'user' && n >= from && n < seq;
  return messages.map((one, n) => (isAsked(one, n) && one.leftOutBy === null ? { ...one, leftOutBy: jobId } : one));
}

/** The messages once all that this job had left out is sent again. */
export function takenIn(messages: readonly Said[], jobId: string | null): readonly Said[] {
  return messages.map((one) => (one.leftOutBy === jobId ? { ...one, leftOutBy: null } : one));
}

/**
 * The texts that the model is asked by a turn that answers the last of these messages: that one, and with it those since the last reply, for a turn
 * that was canceled without a word is asked again with the next. A message that is left out is in nobody's way.
 */
export function asked(messages: readonly Said[]): string[] {
  const texts: string[] = [];
  for (const [back, { role, content, leftOutBy }] of [...messages].reverse().entries()) {
    if (leftOutBy !== null && back > 0) continue;
    if (role === 'assistant') break;
    if (role === 'user') texts.unshift(content ?? '');
  }
  return texts;
}

/** What becomes of a turn: the stand-in goes by the first word that it finds. */
export function kindOf(messages: readonly Said[]): Kind {
  const texts = asked(messages);
  return SCRIPTS.map(([kind]) => kind).find((kind) => texts.some((text) => text.includes(mark(kind)))) ?? 'ok';
}

/** Every message that was seen, by chat and number: none may ever be seen otherwise, but for whether the model is sent it. */
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

/** A message without the one thing of it that may change. */
export function lasting(message: object): object {
  const { in_context: _, ...rest } = message as { in_context?: false };
  return rest;
}

export const print = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
