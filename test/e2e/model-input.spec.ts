import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Stack, startStack } from '../support/stack.js';

describe('what the model is sent', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  it('is the chat’s own history in alternation, with the assistant’s instructions, cached, and its settings', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat('billing');
    await stack.model.script('first question', { text: 'first answer' });
    await ana.turn(chat.id, 'first question');
    await ana.post(`/api/v1/chats/${chat.id}/messages`, { content: 'by the way' });
    await ana.turn(chat.id, 'last question');
    const [call] = await stack.model.calls('last question');
    expect(call?.messages).toEqual([
      { role: 'user', content: 'first question' },
      { role: 'assistant', content: 'first answer' },
      { role: 'user', content: 'by the way\n\nlast question' },
    ]);
    expect(call?.system).toEqual([
      { type: 'text', text: expect.stringContaining('billing assistant'), cache_control: { type: 'ephemeral' } },
    ]);
    expect(call).toMatchObject({ stream: true, max_tokens: 2048, model: 'claude-sonnet-5-5' });
    // The welcome message is for people.
    expect(JSON.stringify(call)).not.toContain('¡Hola!');
  });

  it('fits the budget: the newest messages, beginning with the user', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    const long = 'x'.repeat(30_000);
    await stack.model.script('long', { text: long });
    for (let n = 0; n < 6; n++) await ben.turn(chat.id, `long ${n} ${long}`);
    await ben.turn(chat.id, 'the newest');
    const [call] = await stack.model.calls('the newest');
    const characters = call?.messages.reduce((sum, message) => sum + String(message.content).length, 0) ?? 0;
    expect(characters).toBeLessThanOrEqual(300_000);
    expect(characters).toBeGreaterThan(240_000);
    expect(call?.messages[0]?.role).toBe('user');
    expect(call?.messages.map(({ role }) => role)).toEqual(
      call?.messages.map((_, index) => (index % 2 === 0 ? 'user' : 'assistant')),
    );
    expect(call?.messages.at(-1)).toEqual({ role: 'user', content: 'the newest' });
  });

  it('fits the budget in any script: what counts is bytes', async () => {
    const mei = stack.as('mei');
    const { id } = await mei.chat();
    for (let n = 0; n < 5; n++) await mei.post(`/api/v1/chats/${id}/messages`, { content: '語'.repeat(30_000) });
    await mei.turn(id, '最新');
    const [call] = await stack.model.calls('最新');
    const sent = Buffer.byteLength(JSON.stringify(call?.messages));
    expect(sent).toBeLessThanOrEqual(300_000);
    expect(sent).toBeGreaterThan(200_000);
  });

  it('after a failed turn is one message of the user’s, not two', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
    const failed = await eva.turn(chat.id, 'this is refused');
    expect([failed.status, failed.body.code]).toEqual([502, 'assistant_failed']);
    expect((await eva.turn(chat.id, 'try again')).status).toBe(200);
    const [call] = await stack.model.calls('try again');
    expect(call?.messages).toEqual([{ role: 'user', content: 'this is refused\n\ntry again' }]);
  });

  it('a changed definition raises the version and reaches chats that are open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    const file = join(folder, 'assistants.yaml');
    const define = (prompt: string): Promise<void> =>
      writeFile(
        file,
        `assistants:\n  - { slug: support, name: S, description: D, model: m, welcome_message: Hi, system_prompt: '${prompt}' }\n`,
      );
    const kim = stack.as('kim');
    const chat = await kim.chat();
    const version = (await kim.get('/api/v1/assistants/support')).body.version;

    await define('You are changed.');
    const second = await stack.startApi({ ASSISTANTS_FILE: file });
    expect((await kim.get('/api/v1/assistants/support')).body.version).toBe(version + 1);
    expect((await kim.get('/api/v1/assistants')).body.data).toHaveLength(1);
    expect((await kim.post('/api/v1/assistants/billing/chats')).status).toBe(404);
    await kim.turn(chat.id, 'who are you now?');
    const [call] = await stack.model.calls('who are you now?');
    expect(call?.system).toMatchObject([{ text: 'You are changed.' }]);
    await second.stop();

    const unchanged = await stack.startApi({ ASSISTANTS_FILE: file });
    expect((await kim.get('/api/v1/assistants/support')).body.version).toBe(version + 1);
    await unchanged.stop();
    await rm(folder, { recursive: true });
  });
});
