import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Client } from '../support/client.js';
import { openStream } from '../support/events.js';
import { Pace } from '../support/pace.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';

/** In seconds, for clocks that are off: a token ends this long after its `exp`. */
const LEEWAY = 5;

/** A history that no buffer on the way to a client can hold. */
const LONG = `
  WITH chat AS (
    INSERT INTO chats (id, user_id, assistant_slug, status, last_seq) VALUES (gen_random_uuid(), $1, 'support', 'archived', 300)
    RETURNING id
  )
  INSERT INTO messages (id, chat_id, seq, role, content)
  SELECT gen_random_uuid(), chat.id, n, 'user', repeat('0123456789', 10000) FROM chat, generate_series(1, 300) AS n`;

// These tests mostly wait, so they run at the same time, with tokens that end in about three seconds.
describe('nothing outlives its token', () => {
  let stack: Stack;
  let pace: Pace;
  beforeAll(async () => {
    stack = await borrowStack();
    await stack.model.script('at length', { pieces: Array.from({ length: 120 }, () => 'word '), piece_delay_ms: 50 });
    pace = await Pace.watch();
  });
  afterAll(() => stack.stop());

  /** A token, and its end in milliseconds since the epoch. */
  const ending = (user: string, claims: object = {}): { token: string; endsAt: number } => {
    const exp = Math.ceil(Date.now() / 1_000) + 3 - LEEWAY;
    return { token: tokenFor(user, { exp, ...claims }), endsAt: (exp + LEEWAY) * 1_000 };
  };
  /** A timer may be a millisecond early. */
  const expectNow = (endsAt: number): void => {
    const late = Date.now() - endsAt;
    expect(late).toBeGreaterThanOrEqual(-2);
    expect(late).toBeLessThan(pace.bound(500));
  };

  it.concurrent('a stream ends with it, in mid-reply and without a piece after it; the turn goes on', async () => {
    const sam = stack.as('sam');
    const chat = await sam.chat();
    const { token, endsAt } = ending('sam');
    const stream = await openStream(stack.api.url, token, `/api/v1/chats/${chat.id}/turns`, {
      body: { user_message: 'at length' },
    });
    const events = [];
    for await (const event of stream.events) events.push({ ...event, at: Date.now() });
    expectNow(endsAt);
    const texts = events.filter(({ event }) => event === 'delta');
    expect(texts.length).toBeGreaterThan(10);
    // Sending takes time, too.
    expect(texts.at(-1)?.at).toBeLessThan(pace.bound(endsAt + 100));
    expect(events.at(-1)?.event).toBe('delta');
    expect((await new Client(stack.api.url, token).get('/api/v1/chats')).status).toBe(401);
    expect((await sam.finalJob(events[0]?.data.id)).status).toBe('succeeded');
  });

  it.concurrent('a stream on which nothing happens ends with it', async () => {
    const mia = stack.as('mia');
    await stack.model.script('silence', { delay_ms: 30_000 });
    const silent = await mia.turnAsync((await mia.chat()).id, 'silence');
    const { token, endsAt } = ending('mia');
    const stream = await openStream(stack.api.url, token, `/api/v1/jobs/${silent.id}/events`);
    for await (const { event } of stream.events) expect(event).toBe('job');
    expectNow(endsAt);
    await mia.request('PATCH', `/api/v1/jobs/${silent.id}`, { body: { status: 'canceled' } });
  });

  it.concurrent('a request that waits for its turn, or for a job, gets the job as it is then', async () => {
    const ida = stack.as('ida');
    const chat = await ida.chat();
    const { token, endsAt } = ending('ida');
    const client = new Client(stack.api.url, token);
    const turn = client.turn(chat.id, 'at length').then((answer) => (expectNow(endsAt), answer));
    const jobId = async (): Promise<string> => (await ida.get(`/api/v1/chats/${chat.id}`)).body.unfinished_job_id;
    let id = await jobId();
    while (id === null) id = await jobId();
    const poll = client.get(`/api/v1/jobs/${id}`, { headers: { prefer: 'wait=30' } });
    const polled = await poll.then((answer) => (expectNow(endsAt), answer));
    expect([polled.status, polled.body.status]).toEqual([200, 'running']);
    const answered = await turn;
    expect([answered.status, answered.body.id]).toEqual([202, id]);
  });

  it.concurrent('an export breaks off with it, without its last line', async () => {
    await stack.database.query(LONG, ['eva']);
    const { token, endsAt } = ending('eva');
    const response = await fetch(new URL('/api/v1/me/export', stack.api.url), {
      headers: { authorization: `Bearer ${token}` },
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toMatch(/^{"type":"export"/);
    // A slow reader: a quick one would get all of it before.
    await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now() + 100));
    const rest = async (): Promise<void> => {
      while (!(await reader.read()).done);
    };
    await expect(rest()).rejects.toThrow();
  });

  const post = (path: string, token: string, body: object, more = ''): string => {
    const text = JSON.stringify(body);
    return (
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${text.length}\r\n${more}\r\n${text}`
    );
  };
  const toApi = (): Socket => connect(Number(new URL(stack.api.url).port), '127.0.0.1');
  const answersOn = async (socket: Socket): Promise<string> => {
    let text = '';
    socket.setEncoding('utf8').on('data', (piece) => (text += String(piece)));
    await once(socket, 'close');
    return text;
  };

  it.concurrent('a request whose body comes after it takes no effect', async () => {
    const zoe = stack.as('zoe');
    const chat = await zoe.chat();
    const { token, endsAt } = ending('zoe');
    const request = post(`/api/v1/chats/${chat.id}/messages`, token, { content: 'too late' }, 'Connection: close\r\n');
    const socket = toApi();
    socket.write(request.slice(0, -5));
    await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now() + 10));
    socket.write(request.slice(-5));
    expect(await answersOn(socket)).toMatch(/^HTTP\/1\.1 401 /);
    expect((await zoe.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(1);
  });

  it.concurrent('a request behind one that waits until then takes no effect', async () => {
    const gil = stack.as('gil');
    const [one, other] = [await gil.chat(), (await gil.post('/api/v1/assistants/billing/chats')).body];
    const { token } = ending('gil');
    const socket = toApi();
    socket.write(post(`/api/v1/chats/${one.id}/turns`, token, { user_message: 'at length' }));
    socket.write(post(`/api/v1/chats/${other.id}/messages`, token, { content: 'too late' }, 'Connection: close\r\n'));
    const statuses = [...(await answersOn(socket)).matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status);
    expect(statuses).toEqual(['202', '401']);
    expect((await gil.get(`/api/v1/chats/${other.id}/messages`)).body.data).toHaveLength(1);
  });
});
