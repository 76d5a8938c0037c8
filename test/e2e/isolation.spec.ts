import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { SECRET, type Stack, startStack, tokenFor } from '../support/stack.js';

const NOBODYS = '0199a0de-0000-7000-8000-000000000000';

describe('whose is whose', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  it('somebody else’s chat or job answers exactly like one that does not exist', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    const job = await ana.turnAsync(chat.id, 'my secret question');
    await ana.finalJob(job.id);
    const eve = stack.as('eve');
    const tries: [string, (id: { chat: string; job: string }) => [string, object?]][] = [
      ['GET', ({ chat }) => [`/api/v1/chats/${chat}`]],
      ['PATCH', ({ chat }) => [`/api/v1/chats/${chat}`, { title: 'mine now' }]],
      ['DELETE', ({ chat }) => [`/api/v1/chats/${chat}`]],
      ['GET', ({ chat }) => [`/api/v1/chats/${chat}/messages`]],
      ['POST', ({ chat }) => [`/api/v1/chats/${chat}/messages`, { content: 'hello' }]],
      ['POST', ({ chat }) => [`/api/v1/chats/${chat}/turns`, { user_message: 'hello' }]],
      ['GET', ({ chat }) => [`/api/v1/assistants/support/chats/${chat}/messages`]],
      ['POST', ({ chat }) => [`/api/v1/assistants/support/chats/${chat}/messages`, { content: 'hello' }]],
      ['POST', ({ chat }) => [`/api/v1/assistants/support/chats/${chat}/turns`, { user_message: 'hello' }]],
      ['POST', ({ chat }) => ['/api/v1/jobs/assistant-reply', { chat_id: chat }]],
      ['GET', ({ job }) => [`/api/v1/jobs/${job}`]],
      ['PATCH', ({ job }) => [`/api/v1/jobs/${job}`, { status: 'canceled' }]],
    ];
    const before = await everything(stack);
    for (const [method, of] of tries) {
      const answers = [];
      for (const ids of [
        { chat: chat.id, job: job.id },
        { chat: NOBODYS, job: NOBODYS },
      ]) {
        const [path, body] = of(ids);
        const { status, body: error } = await eve.request(method, path, { body, headers: { 'x-request-id': 'same' } });
        answers.push({ status, error });
      }
      expect(answers[0]?.status).toBe(404);
      expect(answers[0]).toEqual(answers[1]);
    }
    expect(await everything(stack)).toEqual(before);
    expect((await eve.get('/api/v1/chats')).body.data).toEqual([]);
  });

  it('every operation is closed without a valid token, and says no more than that', async () => {
    const forged = tokenFor('ana', {}, 'another secret that is also long enough');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const signed = (payload: string): string => {
      const [header] = tokenFor('ana').split('.');
      const text = `${header}.${Buffer.from(payload).toString('base64url')}`;
      return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
    };
    const tokens = {
      missing: undefined,
      garbage: 'not-a-token',
      'signed with another key': forged,
      expired: tokenFor('ana', { exp: 1_000_000_000 }),
      'not valid yet': tokenFor('ana', { nbf: Math.floor(Date.now() / 1000) + 600 }),
      'without alg': `${none}.${tokenFor('ana').split('.')[1]}.`,
      'without a user': tokenFor('ana', { sub: undefined }),
      'with an empty user': tokenFor(''),
      'with NUL in the user': tokenFor('a\0b'),
      'that never ends': tokenFor('ana', { exp: undefined }),
      'that ends at infinity': signed('{"sub":"ana","exp":1e999}'),
      'that says nothing': signed('null'),
    };
    for (const token of Object.values(tokens)) {
      const answer = await new Client(stack.api.url, token).get('/api/v1/chats', {
        headers: { 'x-request-id': 'same' },
      });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(answer.body).toEqual({
        code: 'unauthorized',
        message: 'A valid bearer token is required.',
        request_id: 'same',
      });
    }
  });

  it('two users who do the same at once never meet', async () => {
    const users = ['u1', 'u2', 'u3', 'u4'].map((name) => ({ name, client: stack.as(name) }));
    await Promise.all(
      users.map(async ({ name, client }) => {
        const chat = await client.chat();
        for (let n = 0; n < 3; n++) await client.turn(chat.id, `${name} asks ${n}`);
        const { body } = await client.get(`/api/v1/chats/${chat.id}/messages`);
        const asked = body.data.filter((message: any) => message.role === 'user');
        expect(asked.map((message: any) => message.content)).toEqual([0, 1, 2].map((n) => `${name} asks ${n}`));
      }),
    );
    for (const { name } of users) {
      for (const call of await stack.model.calls(`${name} asks`)) {
        for (const other of users)
          if (other.name !== name) expect(JSON.stringify(call)).not.toContain(`${other.name} asks`);
      }
    }
  });
});

async function everything(stack: Stack): Promise<unknown> {
  const tables = ['chats', 'messages', 'jobs'].map((name) => stack.database.query(`SELECT * FROM ${name} ORDER BY id`));
  return (await Promise.all(tables)).map(({ rows }) => rows);
}
