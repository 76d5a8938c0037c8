import { describe, expect, it } from '@jest/globals';
import { assertIfMatch, etagOf, noneMatchHits } from './etag.js';

const etag = etagOf('{"a":1}');

describe('entity tags (RFC 9110)', () => {
  it('are strong, and other bytes have another one', () => {
    expect(etag).toMatch(/^"[\w-]{27}"$/);
    expect(etagOf('{"a":1}')).toBe(etag);
    expect(etagOf('{"a":2}')).not.toBe(etag);
  });

  it.each([
    [undefined, false],
    [etag, true],
    [`W/${etag}`, true],
    ['*', true],
    [`"a,b", ${etag}`, true],
    ['"other"', false],
    [etag.slice(1, -1), false],
    ['', false],
  ])('If-None-Match: %s hits: %p', (header, hit) => {
    expect(noneMatchHits(header, etag)).toBe(hit);
  });

  it.each([[undefined], ['*'], [etag], [`"other", ${etag}`]])('If-Match: %s holds', (header) => {
    expect(() => assertIfMatch(header, etag)).not.toThrow();
  });

  it.each(['"other"', `W/${etag}`, '', etag.slice(1, -1)])('If-Match: %s does not hold', (header) => {
    expect(() => assertIfMatch(header, etag)).toThrow(expect.objectContaining({ code: 'precondition_failed' }));
  });
});
