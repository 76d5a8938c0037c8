import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { ledgerOf } from '../support/ledger.js';
import { Pace } from '../support/pace.js';
import type { App } from '../support/processes.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

describe('after SIGTERM', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stack.stop());

  const runningJob = (user: string, chatId: string): Promise<string> =>
    until(async () => {
      const { rows } = await stack.database.query(`SELECT id FROM jobs WHERE chat_id = $1 AND status = 'running'`, [
        chatId,
      ]);
      return rows[0]?.id as string | undefined;
    }, `${user}’s attempt`);

  it.concurrent('the API answers waiting requests with the job as it stands, and ends with 0', async () => {
    const other = await stack.startApi();
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('slow question', { delay_ms: 2_000 });
    const through = stack.as('ana', other);
    const turn = through.turn(chat.id, 'slow question');
    const jobId = await runningJob('ana', chat.id);
    const poll = through.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: 'wait=30' } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ended = other.stop();
    expect(await turn).toMatchObject({ status: 202, body: { id: jobId, status: 'running' } });
    expect((await poll).body).toMatchObject({ id: jobId, status: 'running' });
    expect(await ended).toBe(0);
    expect(other.output()).not.toMatch(/ERROR|WARN/);
    expect((await ana.finalJob(jobId)).status).toBe('succeeded');
  });

  it.concurrent('the API waits neither for silent connections nor for half a request', async () => {
    const other = await stack.startApi();
    const { hostname, port } = new URL(other.url);
    const half = [
      '',
      'GET /api/v1/chats HTTP/1.1\r\nHost',
      'POST /api/v1/chats HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{',
    ];
    for (const text of half) {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      socket.on('error', () => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    const pace = await Pace.watch();
    const begun = Date.now();
    expect(await other.stop()).toBe(0);
    expect(Date.now() - begun).toBeLessThan(pace.bound(8_000));
  });

  it.concurrent('the API still answers a request that comes a moment later on a kept connection', async () => {
    // Such requests have a second. On a busy machine it may be over before anything is sent; then try again.
    for (let late = true; late;) {
      const other = await stack.startApi();
      const connections = await Promise.all(
        ['/health/live', '/api/v1/chats'].map((path) => keptConnection(other, `GET ${path}`)),
      );
      const stoppedAt = Date.now();
      const ended = other.stop();
      await until(async () => other.output().includes('SIGTERM: stopping'), 'the stop');
      await new Promise((resolve) => setTimeout(resolve, 100));
      const answers = Promise.all(connections.map(({ askAgain }) => askAgain()));
      late = Date.now() - stoppedAt > 500;
      const received = await answers;
      expect(await ended).toBe(0);
      if (late) continue;
      for (const answer of received) expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n(.*\r\n)*connection: close\r\n/i);
    }
  });

  it.concurrent('the API answers requests behind another one on the same connection', async () => {
    const ana = stack.as('line');
    const chat = await ana.chat();
    await stack.model.script('in line', { delay_ms: 3_000 });
    const job = await ana.turnAsync(chat.id, 'in line');
    await runningJob('line', chat.id);
    const other = await stack.startApi();
    const { hostname, port } = new URL(other.url);
    const get = (path: string, more = ''): string =>
      `GET /api/v1/${path} HTTP/1.1\r\nHost: x\r\n${more}Authorization: Bearer ${tokenFor('line')}\r\n\r\n`;
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
    // The second request is half sent when the stop begins. It must not end the first one.
    socket.write(get(`jobs/${job.id}`, 'Prefer: wait=30\r\n') + get('chats').slice(0, 30));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const closed = once(socket, 'close');
    expect(await other.stop()).toBe(0);
    await closed;
    expect(received).toContain('HTTP/1.1 200 ');
    expect(received).toContain(job.id);
    await ana.finalJob(job.id);
  });

  it.concurrent('the API lets a client read to the end, and does not wait for one that does not', async () => {
    const ana = stack.as('reader');
    const chat = await ana.chat();
    // More than the system buffers for a client that does not read.
    await stack.database.query(`UPDATE messages SET content = repeat('😀', 4000000) WHERE chat_id = $1`, [chat.id]);
    const other = await stack.startApi();
    const { hostname, port } = new URL(other.url);
    /** Asks for it, and reads only the beginning of the answer. */
    const ask = async (): Promise<Socket> => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.pause();
      socket.write(
        `GET /api/v1/chats/${chat.id}/messages?limit=100 HTTP/1.1\r\nHost: x\r\n` +
          `Authorization: Bearer ${tokenFor('reader')}\r\n\r\n`,
      );
      await once(socket, 'readable');
      return socket;
    };
    const [reading, silent] = [await ask(), await ask()];
    const ended = other.stop(30_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const chunks: Buffer[] = [];
    reading.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
    await once(reading, 'close');
    const answer = Buffer.concat(chunks);
    const head = answer.subarray(0, answer.indexOf('\r\n\r\n')).toString();
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(`${answer.toString()}\n${other.output()}`);
    expect(answer.length - head.length - 4).toBe(Number(/content-length: (\d+)/i.exec(head)?.[1]));
    expect(answer.length).toBeGreaterThan(12_000_000);
    expect(await ended).toBe(0);
    silent.destroy();
  });

  it('no process waits for a Redis that is away', async () => {
    const away = { REDIS_URL: 'redis://127.0.0.1:1' };
    const apps = await Promise.all([stack.startApi(away), stack.startWorker(away)]);
    const pace = await Pace.watch();
    const begun = Date.now();
    expect(await Promise.all(apps.map((app) => app.stop()))).toEqual([0, 0]);
    expect(Date.now() - begun).toBeLessThan(pace.bound(19_000));
  });

  it('a worker finishes its attempts, claims no more jobs, and ends with 0', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    await stack.model.script('two seconds', { delay_ms: 2_000 });
    const job = await ben.turnAsync(chat.id, 'two seconds');
    await runningJob('ben', chat.id);
    const [worker] = stack.workers;
    const ended = worker?.stop();
    expect(await ben.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(await ended).toBe(0);
    expect(worker?.output()).not.toMatch(/ERROR|WARN/);
    expect(await stack.model.calls('two seconds')).toHaveLength(1);
  });

  it('a worker hands back a job that takes too long, and another goes on at once', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    const first = await stack.startWorker();
    await stack.model.script('very long', { delay_ms: 60_000 }, 1);
    const job = await eva.turnAsync(chat.id, 'very long');
    await runningJob('eva', chat.id);
    const pace = await Pace.watch();
    const ended = first.stop();
    const second = await stack.startWorker();
    const ready = Date.now();
    expect(await eva.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(await ended).toBe(0);
    const [handedBack, goesOn] = await ledgerOf(stack, job.id);
    expect(handedBack?.outcome).toBe('handed_back');
    const free = Math.max(ready, handedBack?.ended_at?.getTime() ?? Infinity);
    expect((goesOn?.started_at.getTime() ?? Infinity) - free).toBeLessThan(pace.bound(2_000));
    const { rows } = await stack.database.query('SELECT attempts_left FROM jobs WHERE id = $1', [job.id]);
    expect(rows).toEqual([{ attempts_left: 4 }]);
    await second.stop();
  });

  it('a worker that is just claiming a job finishes it', async () => {
    const kay = stack.as('kay');
    const job = await kay.turnAsync((await kay.chat()).id, 'claimed late');
    const holder = await stack.database.connect();
    try {
      // The claim hangs for longer than an idle worker takes to stop, and for less than it waits for a lock. (It would pass over a locked
      // row.)
      await holder.query('BEGIN');
      await holder.query('LOCK TABLE jobs IN EXCLUSIVE MODE');
      const worker = await stack.startWorker();
      await until(async () => {
        const { rows } = await stack.database.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      }, 'the claim');
      const ended = worker.stop();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await holder.query('COMMIT');
      expect(await ended).toBe(0);
      expect((await kay.get(`/api/v1/jobs/${job.id}`)).body).toMatchObject({ status: 'succeeded', attempts: 1 });
    } finally {
      holder.release();
    }
  });

  it('turns wait for a later worker, and many workers share them', async () => {
    const kim = stack.as('kim');
    const chats = [await kim.chat('support'), await kim.chat('billing'), await kim.chat('general')];
    const jobs = await Promise.all(chats.map((chat) => kim.turnAsync(chat.id, 'is anybody there?')));
    expect((await kim.get(`/api/v1/jobs/${jobs[0]?.id}`)).body.status).toBe('queued');
    const workers = await Promise.all([stack.startWorker(), stack.startWorker()]);
    for (const job of jobs) expect((await kim.finalJob(job.id)).status).toBe('succeeded');
    expect(await stack.model.calls('is anybody there?')).toHaveLength(3);
    expect(await Promise.all(workers.map((worker) => worker.stop()))).toEqual([0, 0]);
  });
});

/**
 * A connection on which one request has been answered, so that the API has accepted it; a new one may still wait in the system. `askAgain`
 * sends the request again, and resolves with the answers when the connection ends.
 */
async function keptConnection(api: App, line: string): Promise<{ askAgain: () => Promise<string> }> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  let received = '';
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined).on('data', (chunk: string) => (received += chunk));
  const ask = (): void => {
    received = '';
    socket.write(`${line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('late')}\r\n\r\n`);
  };
  ask();
  await until(async () => isWhole(received), 'the first answer');
  return { askAgain: () => (ask(), closed.then(() => received)) };
}

/** The answer has come up to the end that its Content-Length gives. */
function isWhole(answer: string): boolean {
  const [head, body] = answer.split('\r\n\r\n', 2);
  return body !== undefined && Buffer.byteLength(body) === Number(/content-length: (\d+)/i.exec(head ?? '')?.[1]);
}
