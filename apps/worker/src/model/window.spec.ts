import { describe, expect, it } from '@jest/globals';
import { type HistoryRow, mostHistoryBytes } from '#jobs/history.js';
import { MOST_MESSAGES, MOST_MESSAGES_READ } from '#jobs/timings.js';
import { narrowed, opened, type Opening } from './window.js';

const LIMIT = 10_000;
const BEFORE = 2_000;

/** A user's message (`u`) or a reply (`a`) of so many bytes each, oldest first, numbered from `seq` on. */
const rows = (texts: readonly string[], bytes = 100, seq = 1): HistoryRow[] =>
  texts
    .map((who, n) => ({
      seq: seq + n,
      role: who === 'u' ? ('user' as const) : ('assistant' as const),
      content: 'x'.repeat(bytes),
    }))
    .reverse();
const turns = (count: number, bytes = 100): HistoryRow[] =>
  rows([...Array.from({ length: count }, () => ['u', 'a']).flat(), 'u'], bytes);
const opening = (history: readonly HistoryRow[], more: Partial<Opening> = {}): Opening => ({
  history,
  withCalls: false,
  bytesBefore: () => BEFORE,
  limit: LIMIT,
  contextTokens: 5_000,
  sameDefinition: true,
  windowFromSeq: 1,
  isCut: false,
  ...more,
});
/** `seq` of the first message of a window that has moved. */
const from = (prompt: Opening): number | undefined => {
  const moved = opened(prompt);
  return moved && prompt.history[moved.kept - 1]?.seq;
};

describe('the window of a chat', () => {
  it('stays where it is up to four fifths of the limit, by what the model counted and the size of the question', () => {
    // The question's 100 bytes count as 40 tokens.
    expect(opened(opening(turns(20), { contextTokens: 7_960 }))).toBeUndefined();
    expect(opened(opening(turns(20), { contextTokens: 7_961 }))).toBeDefined();
  });

  it('then begins with the oldest turn with which the prompt is at most half of the limit', () => {
    // The messages have 4,100 bytes, so with 900 bytes of instructions a byte is two tokens: 1,600 bytes of messages make up the half.
    const bytesBefore = () => 900;
    const { kept = 0, contextTokens = 0 } = opened(opening(turns(20), { contextTokens: 9_960, bytesBefore })) ?? {};
    expect(kept).toBe(15);
    // What is stored with a summary does not have the question, which is counted when the next attempt begins.
    expect(contextTokens).toBe(2 * (900 + 14 * 100));
  });

  it('begins with a turn, never with a reply, and never after the question', () => {
    for (let tokens = 8_000; tokens < 200_000; tokens += 777) {
      const prompt = opening(turns(20), { contextTokens: tokens });
      const { kept = 0 } = opened(prompt) ?? {};
      expect(kept).toBeGreaterThan(0);
      expect([prompt.history[kept - 1]?.role, prompt.history[kept]?.role]).toEqual(['user', 'assistant']);
    }
  });

  it('has all messages since the last reply, however long they are', () => {
    const history = rows(['u', 'a', 'u', 'u', 'u'], 50_000);
    expect(from(opening(history))).toBe(3);
    expect(from(opening(rows(['u', 'u', 'u'], 50_000), { contextTokens: null }))).toBeUndefined();
  });

  it('leaves long instructions at least half of the room that they have', () => {
    // The instructions are seven tenths of the limit by themselves.
    const prompt = opening(turns(20), { bytesBefore: () => 14_000, contextTokens: 9_010 });
    const { kept = 0 } = opened(prompt) ?? {};
    expect(kept).toBeGreaterThan(5);
    expect(kept).toBeLessThan(25);
    // And if they leave none, only the question stays.
    expect(opened(opening(turns(20), { bytesBefore: () => 100_000, contextTokens: 9_960 }))?.kept).toBe(1);
  });

  it('is measured by bytes where the model has counted nothing, instructions included', () => {
    const unknown = (history: HistoryRow[]) => opening(history, { contextTokens: null });
    expect(opened(unknown(turns(80)))).toBeUndefined();
    expect(from(unknown(turns(100)))).toBeGreaterThan(90);
    expect(opened({ ...unknown(turns(80)), bytesBefore: () => 20_000 })).toBeDefined();
  });

  it('counts other instructions as much longer as they may be', () => {
    const changed = { contextTokens: 7_500, bytesBefore: () => 1_300 };
    expect(opened(opening(turns(20), changed))).toBeUndefined();
    expect(opened(opening(turns(20), { ...changed, sameDefinition: false }))).toBeDefined();
  });

  it('counts the calls of earlier turns only if they are sent', () => {
    const tool_call = { id: 'c', step: 1, name: 'n', input: {}, result: 'x'.repeat(30_000), is_error: false };
    const history = turns(3).map((row, n) =>
      n === 3 ? { ...row, parts: [{ type: 'tool_call' as const, tool_call }] } : row,
    );
    const prompt = opening(history, { contextTokens: null });
    expect(opened(prompt)).toBeUndefined();
    expect(from({ ...prompt, withCalls: true })).toBe(5);
  });

  it('has a bound of messages, too, and then loses half of them', () => {
    const history = turns(MOST_MESSAGES);
    const some = (count: number) => opening(history.slice(0, count), { windowFromSeq: 2 * MOST_MESSAGES + 2 - count });
    expect(opened(some(MOST_MESSAGES - 1))).toBeUndefined();
    expect(opened(some(MOST_MESSAGES + 1))?.kept).toBe(MOST_MESSAGES / 2 - 1);
  });

  it('that begins far behind, after many messages that are left out, begins with the oldest one that was read', () => {
    const history = rows(['u', 'a', 'u'], 100, MOST_MESSAGES_READ);
    expect(opened(opening(history, { windowFromSeq: 3 }))).toBeUndefined();
    expect(from(opening(history, { windowFromSeq: 2 }))).toBe(MOST_MESSAGES_READ);
  });

  it('may begin among many messages without a reply: else it would have nothing but the question', () => {
    const history = rows([...Array.from({ length: 350 }, () => 'u'), 'a', 'u']);
    const begins = from(opening(history, { contextTokens: 3_000 })) ?? 0;
    expect(begins).toBe(history.length - MOST_MESSAGES / 2 + 1);
  });
});

describe('a window that the model finds too long', () => {
  it('loses its older half again and again, by size, and never what is to be answered', () => {
    let history: readonly HistoryRow[] = rows([...Array.from({ length: 10 }, () => ['u', 'a']).flat(), 'u', 'u']);
    const lengths: number[] = [];
    for (;;) {
      lengths.push(history.length);
      const moved = narrowed(opening(history));
      if (moved === undefined) break;
      history = history.slice(0, moved.kept);
      expect(history.at(-1)?.role).toBe('user');
    }
    expect(lengths).toEqual([22, 12, 6, 4, 2]);
  });

  it('loses what is much longer than the rest at once, and keeps a newest turn that is', () => {
    const long = (at: number) =>
      turns(4).map((row) => (row.seq === at ? { ...row, content: 'x'.repeat(10_000) } : row));
    expect(narrowed(opening(long(2)))?.kept).toBe(7);
    expect(narrowed(opening(long(4)))?.kept).toBe(7);
    expect(narrowed(opening(long(8)))?.kept).toBe(3);
  });

  it('becomes half as long as the model takes, if it names both lengths', () => {
    const prompt = opening(turns(20), { bytesBefore: () => 900 });
    // A byte is two tokens. The prompt becomes one of 3,300 tokens: half of what is left beside the instructions, of four fifths of 6,000.
    expect(narrowed(prompt, { tokens: 10_000, most: 6_000 })?.kept).toBe(7);
    expect(narrowed(prompt, { tokens: 10_000, most: 1_000 })?.kept).toBe(1);
    expect(narrowed(opening(rows(['u', 'u'])), { tokens: 10_000, most: 1_000 })).toBeUndefined();
    // The assistant's own limit holds all the same.
    expect(narrowed({ ...prompt, limit: 6_000 }, { tokens: 10_000, most: 9_000 })?.kept).toBe(7);
  });
});

describe('in a chat of ten thousand turns, the window', () => {
  /** Whole numbers below `most`, the same in each run. */
  const numbers = (seed: number) => {
    let state = seed;
    return (most: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % most;
    };
  };

  /** Sends the turns one after the other, reading what a claim reads. */
  const talk = (bytesPerToken: number, size: () => number, limit: number) => {
    const chat: HistoryRow[] = [];
    const moves: { at: number; from: number; turns: number }[] = [];
    let windowFromSeq = 1;
    let contextTokens: number | null = null;
    let longest = 0;
    let cut = 0;
    const say = (role: 'user' | 'assistant'): void => {
      chat.push({ seq: chat.length + 1, role, content: 'x'.repeat(size()) });
    };
    for (let turn = 1; turn <= 10_000; turn++) {
      say('user');
      const read = chat.slice(Math.max(windowFromSeq - 1, chat.length - MOST_MESSAGES_READ)).reverse();
      let fits = 0;
      for (let bytes = 0; fits < read.length; fits++) {
        bytes += read[fits]?.content.length ?? 0;
        if (bytes > mostHistoryBytes(limit) && fits > 0) break;
      }
      const history = read.slice(0, fits);
      const isCut = fits < read.length;
      if (isCut) cut += 1;
      const moved = opened(opening(history, { contextTokens, windowFromSeq, isCut, limit }));
      const sent = moved === undefined ? history : history.slice(0, moved.kept);
      if (moved !== undefined) {
        const begins = sent.at(-1)?.seq ?? 0;
        expect(begins).toBeGreaterThan(windowFromSeq);
        moves.push({ at: turn, from: begins, turns: (begins - windowFromSeq) / 2 });
        windowFromSeq = begins;
      }
      // Every prompt begins where the last one began, unless the window has just moved.
      else expect(sent.at(-1)?.seq).toBe(windowFromSeq);
      let bytesSent = BEFORE;
      for (const { content } of sent) bytesSent += content.length;
      const tokens = bytesSent / bytesPerToken;
      longest = Math.max(longest, tokens);
      say('assistant');
      contextTokens = Math.ceil(tokens + (chat.at(-1)?.content.length ?? 0) / bytesPerToken);
    }
    return { moves, longest, cut };
  };

  it.each([1.2, 4, 12])('moves rarely and far, at %d bytes a token', (bytesPerToken) => {
    const random = numbers(7);
    // Mostly short messages, and a long one now and then.
    const size = () => (random(20) === 0 ? random(2_000) : random(100)) * (bytesPerToken / 4) + 1;
    const { moves, longest } = talk(bytesPerToken, () => Math.floor(size()), 6_000);
    expect(moves.length).toBeGreaterThan(50);
    expect(moves.length).toBeLessThan(400);
    // It leaves at least ten turns behind, but for a few moves around messages that are long by themselves.
    const far = moves.filter(({ turns: left }) => left >= 10);
    expect(far.length).toBeGreaterThan(moves.length * 0.9);
    expect(longest).toBeLessThan(6_000);
  });

  it('moves every 76 turns if its messages are short', () => {
    const { moves, cut } = talk(4, () => 40, 150_000);
    expect(moves).toHaveLength(130);
    expect(cut).toBe(0);
  });

  it('does not slide where a claim reads less than the window: texts of many bytes a token move it by half of what is read', () => {
    const { moves, cut } = talk(40, () => 100, 2_000);
    expect(cut).toBe(moves.length);
    expect(moves.length).toBeLessThan(10_000 / 25);
  });
});
