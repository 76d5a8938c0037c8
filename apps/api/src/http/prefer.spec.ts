import { describe, expect, it } from '@jest/globals';
import { Preferences } from './prefer.js';

describe('Prefer (RFC 7240)', () => {
  const preferences = new Preferences(55);

  it.each([
    [undefined, undefined, undefined],
    ['respond-async', 0, 'respond-async'],
    ['Respond-Async', 0, 'respond-async'],
    ['wait=5', 5, 'wait=5'],
    ['wait = 5', 5, 'wait=5'],
    ['wait="5"', 5, 'wait=5'],
    ['wait=0', 0, 'wait=0'],
    ['respond-async, wait=5', 5, 'respond-async, wait=5'],
    ['wait=5;foo=bar, handling=lenient', 5, 'wait=5'],
    ['wait=5, wait=9', 5, 'wait=5'],
    ['foo="a, wait=5, b", wait=9', 9, 'wait=9'],
    ['foo="a\\", respond-async, "', undefined, undefined],
    ['foo="a, wait=5', undefined, undefined],
    ['wait=999999', 55, 'wait=55'],
    ['wait=-1', undefined, undefined],
    ['wait=soon', undefined, undefined],
    ['wait', undefined, undefined],
    ['respond-async=no', undefined, undefined],
    ['return=minimal', undefined, undefined],
    ['', undefined, undefined],
    ['respond-async=""', 0, 'respond-async'],
    ['respond-async;', 0, 'respond-async'],
    ['wait="1\\0"; a="b, c"; d, respond-async', 10, 'respond-async, wait=10'],
    ['note="please, respond-async, wait=5"', undefined, undefined],
    ['note="a \\", wait=5", respond-async', 0, 'respond-async'],
    ['note; text="x, wait=5", wait=7', 7, 'wait=7'],
    ['note="never closed, wait=5', undefined, undefined],
    ['wait=soon, wait=5', undefined, undefined],
    ['WAIT=5, wait=9', 5, 'wait=5'],
    ['respond-async=no, respond-async', undefined, undefined],
    ['wait=5=6', undefined, undefined],
    [', ,wait=5,', 5, 'wait=5'],
  ])('%j waits %p seconds and says %j', (header, waitSeconds, applied) => {
    expect(preferences.read(header)).toEqual({ waitSeconds, applied });
  });

  it('reads a header that came in several lines', () => {
    expect(preferences.read(['respond-async', 'wait=3'])).toEqual({ waitSeconds: 3, applied: 'respond-async, wait=3' });
  });
});
