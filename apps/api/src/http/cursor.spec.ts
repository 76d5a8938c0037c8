import { describe, expect, it } from '@jest/globals';
import { encodeCursor, readCursor } from './cursor.js';

describe('a cursor', () => {
  it('gives its position back, for the list it was made for', () => {
    expect(readCursor('messages:1', { before: encodeCursor('messages:1', '42') }, Number)).toBe(42);
    expect(readCursor('messages:1', { after: encodeCursor('messages:1', '0') }, Number)).toBe(0);
    expect(readCursor('messages:1', {}, Number)).toBeUndefined();
  });

  it('is refused beside another one, and where it has a position that its list does not have', () => {
    const cursor = encodeCursor('messages:1', '42');
    expect(() => readCursor('messages:1', { before: cursor, after: cursor }, Number)).toThrow(
      expect.objectContaining({ details: [{ field: 'after', message: 'cannot be combined with before' }] }),
    );
    expect(() => readCursor('messages:1', { after: cursor }, () => undefined)).toThrow(
      expect.objectContaining({ details: [{ field: 'after', message: 'is not a cursor of this list' }] }),
    );
  });

  it.each([
    ['of another list', encodeCursor('messages:2', '42')],
    [
      'edited',
      Buffer.from(Buffer.from(encodeCursor('messages:1', '42'), 'base64url').toString().replace('42', '43')).toString(
        'base64url',
      ),
    ],
    ['padded', `${encodeCursor('messages:1', '42')}=`],
    ['without a position', encodeCursor('messages:1', '')],
    ['empty', ''],
    ['of no alphabet', '€€€€'],
  ])('%s is refused, naming the field', (_, cursor) => {
    expect(() => readCursor('messages:1', { before: cursor }, Number)).toThrow(
      expect.objectContaining({
        code: 'validation_failed',
        details: [{ field: 'before', message: expect.any(String) }],
      }),
    );
  });
});
