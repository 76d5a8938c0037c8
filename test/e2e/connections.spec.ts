import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Client } from '../support/client.js';
import { collect, openStream } from '../support/events.js';
import { metricsOf, metricsUrl } from '../support/figures.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';
import { exchange } from '../support/wire.js';

const MOST = 60;
const STREAMS = 10;

describe('the connections of the API', () => {
  let stack: Stack;
  let metrics: string;
  const sockets: Socket[] = [];
  beforeAll(async () => {
    stack = await startStack({
      env: { MAX_CONNECTIONS: String(MOST), USER_OPEN_STREAMS: String(STREAMS), METRICS_PORT: '0' },
    });
    metrics = metricsUrl(stack.api.output());
    await stack.model.script('for long', { pieces: ['Hm. '], stall_after: 1 });
  });
  afterAll(() => stack.stop());
  const left = (): void => sockets.splice(0).forEach((socket) => socket.destroy());

  const send = (text: string): Socket => {
    const { hostname, port } = new URL(stack.api.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined).resume();
    if (text !== '') socket.write(text);
    sockets.push(socket);
    return socket;
  };
  const head = (user: string, line: string, ...more: string[]): string =>
    [`${line} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${tokenFor(user)}`, ...more, '', ''].join('\r\n');
  /** A turn that ends only by a cancel. */
  const running = async (user: Client): Promise<{ jobId: string; chatId: string }> => {
    const { id } = await user.chat();
    const job = await user.turnAsync(id, 'for long');
    await until(async () => (await user.get(`/api/v1/jobs/${job.id}`)).body.status === 'running', 'the turn to run');
    return { jobId: job.id, chatId: id };
  };
  const figure = async (name: string): Promise<number> => (await metricsOf(metrics)).get(name) ?? NaN;

  it('may be flooded without shutting anybody out: open requests stay, and new ones are answered', async () => {
    const ana = stack.as('ana');
    const { jobId } = await running(ana);
    // This goes first: once the stream is open, this has arrived, too, and its connection is not idle.
    const waits = ana.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: 'wait=60' } });
    // Read from the start, because `fetch` ends an unread body when it is collected as garbage.
    const events = collect(await openStream(stack.api.url, tokenFor('ana'), `/api/v1/jobs/${jobId}/events`));
    let open = 0;
    for (let n = 0; n < 10 * MOST; n++) {
      send(
        ['', 'GET /api/v1/chats HTTP/1.1\r\n', 'POST /api/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx'][
          n % 3
        ] ?? '',
      )
        .once('connect', () => (open += 1))
        .once('close', () => (open -= 1));
    }
    const flood = [...sockets];
    await until(async () => flood.every(({ connecting }) => !connecting), 'the flood to arrive');
    // On new connections: a kept one is idle, and makes room like any other.
    const ask = async (request: string): Promise<number | undefined> =>
      (await exchange(stack.api.url, request, 1)).answers[0]?.status;
    const asked = [ask(head('ana', 'GET /health/ready')), ask(head('ana', 'GET /api/v1/chats'))];
    expect(await Promise.all(asked)).toEqual([200, 200]);
    await until(async () => open <= MOST, 'the flood to be closed');
    const canceled = '{"status":"canceled"}';
    const lengths = ['Content-Type: application/json', `Content-Length: ${canceled.length}`];
    expect(await ask(head('ana', `PATCH /api/v1/jobs/${jobId}`, ...lengths) + canceled)).toBe(200);
    expect((await events).at(-1)).toMatchObject({ id: 'end', data: { status: 'canceled' } });
    expect((await waits).body.status).toBe('canceled');
    left();
  });

  it('are kept idle for the configured time, and then closed without an answer', async () => {
    const brief = await stack.startApi({ KEEP_ALIVE_SECONDS: '2' });
    const open = async (text: string): Promise<{ received: string; ms: number }> => {
      const { hostname, port } = new URL(brief.url);
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      let received = '';
      socket.on('data', (chunk) => (received += chunk.toString()));
      await once(socket, 'connect');
      const begun = Date.now();
      socket.write(text);
      await once(socket, 'close');
      return { received, ms: Date.now() - begun };
    };
    const [used, unused] = await Promise.all([open('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'), open('')]);
    expect(used.received).toMatch(/^HTTP\/1\.1 200 .*\r\nkeep-alive: timeout=2\r\n/is);
    expect(unused.received).toBe('');
    for (const { ms } of [used, unused]) expect(ms).toBeGreaterThan(2_000);
    for (const { ms } of [used, unused]) expect(ms).toBeLessThan(10_000);
    await brief.stop();
    left();
  });

  it('wait for jobs up to a user’s number of streams; further requests are answered at once, as without a wait', async () => {
    const ben = stack.as('ben');
    const { jobId, chatId } = await running(ben);
    const poll = () => ben.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: 'wait=60' } });
    const polls = Array.from({ length: STREAMS + 3 }, poll);
    const tooMany = await Promise.race(polls);
    expect(tooMany.body.status).toBe('running');
    expect([tooMany.headers.get('preference-applied'), tooMany.headers.get('retry-after')]).toEqual([null, '1']);
    // Other users have their own.
    expect((await stack.as('eva').turn((await stack.as('eva').chat()).id, 'hello')).status).toBe(200);
    await ben.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
    const ends = await Promise.all(polls);
    expect(ends.filter(({ body }) => body.status === 'canceled')).toHaveLength(STREAMS);
    // The places are free again.
    expect((await ben.turn(chatId, 'and now?')).status).toBe(200);
  });

  it('may be left at any moment and in any way, and hold nothing afterwards', async () => {
    const lea = stack.as('lea');
    const { jobId, chatId } = await running(lea);
    const body = JSON.stringify({ user_message: 'hello' });
    const lengths = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    const moments = [
      '',
      'GET /api/v1/chats HTTP/1.1\r\nHost: ',
      head('lea', 'POST /api/v1/assistants/support/chats', 'Content-Type: application/json', 'Content-Length: 100') +
        '{"me',
      head(
        'lea',
        'POST /api/v1/assistants/support/chats',
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
      ) + '40\r\n{"met',
      head('lea', `GET /api/v1/jobs/${jobId}`, 'Prefer: wait=60'),
      head('lea', `GET /api/v1/jobs/${jobId}/events`),
      head('lea', `POST /api/v1/chats/${chatId}/turns`, ...lengths) + body,
      head('lea', 'GET /api/v1/me/export'),
      head('lea', 'GET /api/v1/chats'),
      head('lea', 'GET /docs/swagger-ui-bundle.js'),
    ];
    const ways: ((socket: Socket) => unknown)[] = [
      (socket) => socket.destroy(),
      (socket) => socket.resetAndDestroy(),
      // Its other half stays open for as long as the API keeps it.
      (socket) => socket.end(),
    ];
    const files = (): number => readdirSync(`/proc/${stack.api.process.pid}/fd`).length;
    const printed = stack.api.output().length;
    const before = files();
    for (let round = 0; round < 4; round++) {
      for (const leave of ways) {
        await Promise.all(
          moments.map(async (moment) => {
            const socket = send(moment);
            // At once, after a moment, or when something has come.
            if (round === 1) await new Promise((resolve) => setTimeout(resolve, 10 * Math.random()));
            else if (round > 1) await new Promise((resolve) => (socket.once('data', resolve), setTimeout(resolve, 60)));
            leave(socket);
          }),
        );
      }
    }
    await until(async () => (await figure('rejoinder_http_open_streams')) === 0, 'all streams to be gone', 10_000);
    await until(
      async () => {
        const { rows } = await stack.database.query(
          `SELECT sum(streams) AS open FROM open_streams WHERE user_id = 'lea'`,
        );
        return Number(rows[0]?.open) === 0;
      },
      'all places to be given back',
      10_000,
    );
    // A half-closed connection waits no longer for its request than any other.
    await until(
      async () => sockets.every(({ destroyed, readableEnded }) => destroyed || readableEnded),
      'all ends',
      10_000,
    );
    left();
    if (process.platform === 'linux') await until(async () => files() <= before + 10, 'the files to be closed', 10_000);
    // All places for waits are free again.
    const poll = lea.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: 'wait=1' } });
    expect((await poll).headers.get('preference-applied')).toBe('wait=1');
    const lines = stack.api.output().slice(printed).split('\n');
    // The log may report the earlier flood only now.
    const complaints = lines.filter((line) => /ERROR|WARN/i.test(line) && !line.includes('idle or slow, to make room'));
    expect(complaints).toEqual([]);
    await lea.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
  });
});
