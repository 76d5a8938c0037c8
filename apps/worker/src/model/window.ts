import { estimatePrompt } from '#jobs/estimates.js';
import { type HistoryRow, mostHistoryBytes } from '#jobs/history.js';
import { MOST_MESSAGES, MOST_MESSAGES_READ } from '#jobs/timings.js';

/*
 * Where the history of a prompt begins. The beginning moves rarely and far: the provider's cache only helps as long as each prompt begins
 * with the bytes of the one before. All decisions depend on stored values alone, so a second attempt decides the same.
 */

/** A prompt above the first part of its limit gets a shorter history, which brings it down to the second part. */
const FULL = 0.8;
const AFTER_MOVE = 0.5;

/** A prompt, as far as its length matters. */
export interface Measured {
  /** Newest first; the first message is the one to answer. */
  readonly history: readonly HistoryRow[];
  /** The tool calls of earlier turns are sent, too. */
  readonly withCalls: boolean;
  /** Bytes of all that stands before the history: instructions, tools, summary. Called only if the length is in doubt. */
  readonly bytesBefore: () => number;
  /** Most tokens of a prompt. */
  readonly limit: number;
}

/** A prompt at the beginning of a turn. */
export interface Opening extends Measured {
  /** Tokens of the last reply and its prompt, as the model counted them; null: not known. */
  readonly contextTokens: number | null;
  /** This prompt has the instructions and the tools of that one. */
  readonly sameDefinition: boolean;
  /** `seq` of the first message that it may have. */
  readonly windowFromSeq: number;
  /** The history was not read whole, since it has too many bytes. */
  readonly isCut: boolean;
}

/** A history that begins later. */
export interface Moved {
  /** The number of newest messages that stay. */
  readonly kept: number;
  /** Estimated tokens of the prompt without the messages since the last reply, which are not counted yet. */
  readonly contextTokens: number;
  /** Estimated tokens of a byte. */
  readonly tokensPerByte: number;
}

/**
 * Where the window begins at the beginning of a turn.
 * @returns undefined: where it began before
 */
export function opened(prompt: Opening): Moved | undefined {
  const { history, limit } = prompt;
  const newest = history[0]?.seq ?? 1;
  const isCut = prompt.isCut || newest - prompt.windowFromSeq >= MOST_MESSAGES_READ;
  const tokens = estimate(prompt);
  if (tokens <= FULL * limit && newest - prompt.windowFromSeq < MOST_MESSAGES && !isCut) return undefined;
  const moved = shortened(prompt, tokens, limit);
  return moved.kept < history.length || isCut ? moved : undefined;
}

/** The length of a prompt and the longest one that the model takes, in its own words. */
export interface NamedLength {
  readonly tokens: number;
  readonly most: number;
}

/**
 * Where the window begins after the model has found the prompt too long. If it named both lengths, it begins as above. Otherwise the history
 * loses its older half, by size.
 * @returns undefined: only the messages since the last reply are left
 */
export function narrowed(prompt: Measured, named?: NamedLength): Moved | undefined {
  const { history } = prompt;
  const moved =
    named === undefined
      ? halved(prompt)
      : shortened(prompt, Math.max(named.tokens, named.most), Math.min(named.most, prompt.limit));
  return moved.kept < history.length ? moved : undefined;
}

function shortened(prompt: Measured, tokens: number, limit: number): Moved {
  const { history, bytesBefore } = prompt;
  const before = bytesBefore();
  const sizes = sizesOf(prompt);
  const tokensPerByte = tokens / Math.max(1, before + sum(sizes));
  // Long instructions leave less room. The history loses at most about half of that.
  const target = Math.max(AFTER_MOVE * limit, (FULL * limit + before * tokensPerByte) / 2);
  const mostBytes = Math.min(target / tokensPerByte - before, mostHistoryBytes(limit) / 2);
  const kept = fitting(history, sizes, mostBytes, (history[0]?.seq ?? 1) - MOST_MESSAGES / 2 + 1);
  return moved(prompt, sizes, kept, before, tokensPerByte);
}

function halved(prompt: Measured): Moved {
  const { history, bytesBefore } = prompt;
  const sizes = sizesOf(prompt);
  const counts = beginnings(history).filter((count) => count < history.length);
  const half = sum(sizes) / 2;
  const kept = counts.find((count) => sum(sizes.slice(0, count)) >= half) ?? counts.at(-1) ?? history.length;
  return moved(prompt, sizes, kept, bytesBefore(), estimatePrompt(1));
}

function moved({ history }: Measured, sizes: number[], kept: number, before: number, tokensPerByte: number): Moved {
  const counted = before + sum(sizes.slice(questionLength(history), kept));
  return { kept, contextTokens: Math.ceil(counted * tokensPerByte), tokensPerByte };
}

/**
 * The number of newest messages that fit: the most that begin with a turn, or else with any message of the user. The messages since the last
 * reply always stay, since they need the answer.
 */
function fitting(history: readonly HistoryRow[], sizes: readonly number[], mostBytes: number, fromSeq: number): number {
  const fits = (count: number): boolean =>
    sum(sizes.slice(0, count)) <= mostBytes && (history[count - 1]?.seq ?? 0) >= fromSeq;
  const question = questionLength(history);
  const turns = beginnings(history).findLast(fits) ?? question;
  if (turns > question) return turns;
  return history.findLastIndex(({ role }, n) => n >= question && role === 'user' && fits(n + 1)) + 1 || question;
}

/** The numbers of newest messages that begin with a turn, the smallest first: the messages since the last reply, and each turn before. */
function beginnings(history: readonly HistoryRow[]): number[] {
  const question = questionLength(history);
  const turns = history.flatMap(({ role }, n) =>
    n >= question && role === 'user' && history[n + 1]?.role !== 'user' ? [n + 1] : [],
  );
  return [question, ...turns];
}

/** The number of messages since the last reply. */
function questionLength(history: readonly HistoryRow[]): number {
  const lastReply = history.findIndex(({ role }) => role === 'assistant');
  return lastReply < 0 ? history.length : lastReply;
}

/** The tokens of a prompt: what the model counted last, and what is new. If it counted nothing, all by bytes. */
function estimate(prompt: Opening): number {
  const { history, contextTokens, sameDefinition, bytesBefore } = prompt;
  if (contextTokens === null) return estimatePrompt(bytesBefore() + sum(sizesOf(prompt)));
  const question = sum(sizesOf({ ...prompt, history: history.slice(0, questionLength(history)) }));
  // Other instructions may be this much longer.
  return contextTokens + estimatePrompt(question + (sameDefinition ? 0 : bytesBefore()));
}

function sizesOf({ history, withCalls }: Measured): number[] {
  return history.map(({ content, parts }) =>
    Buffer.byteLength(withCalls && parts !== undefined ? JSON.stringify(parts) : content),
  );
}

const sum = (sizes: readonly number[]): number => sizes.reduce((all, size) => all + size, 0);
