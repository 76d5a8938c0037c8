import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rejoinder } from '@rejoinder/client';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

describe('the client', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());
  const as = (user: string): Rejoinder => new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user) });

  it('opens a chat and streams a turn', async () => {
    const ana = as('ana');
    const chat = await ana.openChat('support');
    let text = '';
    for await (const event of ana.streamTurn(chat.id, 'Hola')) {
      if (event.type === 'delta') text += event.text;
    }
    expect((await ana.listMessages(chat.id)).data.at(-1)?.content).toBe(text);
  });
});
