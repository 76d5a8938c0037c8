import { describe, expect, it } from '@jest/globals';
import { fromHere } from './location.js';

describe('an address that is said from here', () => {
  it.each([
    ['/api/v1/chats/1/turns', 'jobs/2'],
    ['/api/v1/assistants/support/chats/1/turns?x=/a/b', 'jobs/2'],
    ['/api/v1/assistants/support/chats', 'chats/2'],
    ['/api/v1/jobs/assistant-reply', 'jobs/2'],
    ['/api/v1/me', 'receipts/2'],
    ['/api/v1/%63hats/1/turns', 'jobs/2'],
  ])('leads from %s to %s, below any path', (url, address) => {
    for (const top of ['https://a.example', 'https://a.example/rejoinder', 'http://b/c/d']) {
      expect(new URL(fromHere(url, address), top + url).href).toBe(`${top}/api/v1/${address}`);
    }
  });
});
