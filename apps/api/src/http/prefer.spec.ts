import { describe, expect, it } from '@jest/globals';
import { readPreference } from './prefer.js';

describe('Prefer (RFC 7240)', () => {
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
    ['wait=999999', 60, 'wait=60'],
    ['wait=-1', undefined, undefined],
    ['wait=soon', undefined, undefined],
    ['wait', undefined, undefined],
    ['respond-async=no', undefined, undefined],
    ['return=minimal', undefined, undefined],
    ['', undefined, undefined],
  ])('%j waits %p seconds and says %j', (header, waitSeconds, applied) => {
    expect(readPreference(header)).toEqual({ waitSeconds, applied });
  });

  it('reads a header that came in several lines', () => {
    expect(readPreference(['respond-async', 'wait=3'])).toEqual({ waitSeconds: 3, applied: 'respond-async, wait=3' });
  });
});
