import { describe, expect, it } from '@jest/globals';
import { decodeExtent, decodePiece, encodeExtent, encodePiece } from './piece-format.js';
import type { Piece } from './reply-feed.js';

const PLACE = { jobId: 'job', attempt: 12, offset: 345 };
const URL = 'https://a.test/';
const PIECES: readonly Piece[] = [
  { ...PLACE, kind: 'text', text: ' a text\nreasoning -1 😀 ' },
  { ...PLACE, kind: 'reasoning', text: ' source {"a": 1}\n😀 ' },
  { ...PLACE, kind: 'source', source: { type: 'source', url: `${URL}a b`, title: 'A "title"' } },
];

describe('a piece of a reply', () => {
  it.each(PIECES)('of the kind $kind arrives as it was sent', (piece) => {
    expect(decodePiece('job', encodePiece(piece))).toEqual(piece);
  });

  it('that is no text is of an earlier attempt to a process that knows text only', () => {
    const [text, ...others] = PIECES.map((piece) => Number(encodePiece(piece).split(' ')[0]));
    expect(text).toBe(12);
    for (const attempt of others) expect(attempt).toBeLessThan(0);
  });

  it('of a later version, or of a stranger, is passed over', () => {
    for (const message of ['-1 0 hologram x', '-1 0 source {', '-1 0 source', '-1', '- ']) {
      expect([message, decodePiece('job', message)]).toEqual([message, undefined]);
    }
  });

  it('fits a notice of PostgreSQL, however long its address and title are', () => {
    const source = { type: 'source', url: `${URL}${'漢'.repeat(2_000 - URL.length)}`, title: '"'.repeat(200) } as const;
    const piece = encodePiece({ ...PLACE, attempt: 1e9, offset: 1e9, kind: 'source', source });
    expect(Buffer.byteLength(`${'x'.repeat(36)} ${piece}`)).toBeLessThan(8_000);
  });
});

describe('a question for pieces', () => {
  it('arrives as it was sent', () => {
    const has = { attempt: 3, text: 10, reasoning: 20, source: 2 };
    expect(decodeExtent(encodeExtent(has))).toEqual(has);
  });

  it('is for text only if an older version asks, and has its text where an older version looks for it', () => {
    expect(decodeExtent('3 10')).toEqual({ attempt: 3, text: 10, reasoning: Infinity, source: Infinity });
    expect(encodeExtent({ attempt: 3, text: 10, reasoning: 20, source: 2 })).toMatch(/^3 10 /);
  });
});
