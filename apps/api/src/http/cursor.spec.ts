import { describe, expect, it } from '@jest/globals';
import { decodeCursor, encodeCursor } from './cursor.js';

describe('a cursor', () => {
  it('gives its position back, for the list it was made for', () => {
    expect(decodeCursor('messages:1', encodeCursor('messages:1', '42'), 'before')).toBe('42');
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
    expect(() => decodeCursor('messages:1', cursor, 'before')).toThrow(
      expect.objectContaining({
        code: 'validation_failed',
        details: [{ field: 'before', message: expect.any(String) }],
      }),
    );
  });
});
