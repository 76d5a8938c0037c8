import { describe, expect, it } from '@jest/globals';
import { etagOf, ifMatchHolds, ifNoneMatch } from './etag.js';

const etag = etagOf('{"a":1}', 'ana');

describe('entity tags (RFC 9110)', () => {
  it('are strong; other bytes have another one, and so has another user', () => {
    expect(etag).toMatch(/^"[\w-]{27}"$/);
    expect(etagOf('{"a":1}', 'ana')).toBe(etag);
    expect(etagOf('{"a":2}', 'ana')).not.toBe(etag);
    expect(etagOf('{"a":1}', 'eve')).not.toBe(etag);
  });

  it.each([
    [undefined, 'missed'],
    [etag, 'hit'],
    [`W/${etag}`, 'hit'],
    ['*', 'hit'],
    [' * ', 'hit'],
    [`"a,b", ${etag}`, 'hit'],
    [`"a,",${etag}`, 'hit'],
    [`"W/", ,\t${etag} ,`, 'hit'],
    [`W/"a",W/${etag}`, 'hit'],
    [`"a,${etag.slice(1)}`, 'missed'],
    ['"other"', 'missed'],
    ['""', 'missed'],
    ['', 'missed'],
    [' ,', 'missed'],
    [etag.slice(1, -1), 'unreadable'],
    [`w/${etag}`, 'unreadable'],
    [`${etag} ${etag}`, 'unreadable'],
    [`*, ${etag}`, 'unreadable'],
    [`"a"b, ${etag}`, 'unreadable'],
    [`"never closed, ${etag}`, 'unreadable'],
    [`${' '.repeat(16_000)}x`, 'unreadable'],
  ])('If-None-Match: %s is %s', (header, outcome) => {
    expect(ifNoneMatch(header, etag)).toBe(outcome);
  });

  it.each([[undefined], ['*'], [etag], [`"other", ${etag}`], [`W/"other","a,",${etag}`]])(
    'If-Match: %s holds',
    (header) => expect(ifMatchHolds(header, etag)).toBe(true),
  );

  it.each(['"other"', `W/${etag}`, '', etag.slice(1, -1), `${etag}, x`, `${etag} *`])(
    'If-Match: %s does not hold',
    (header) => expect(ifMatchHolds(header, etag)).toBe(false),
  );
});
