import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { collect, openStream, textOf } from '../support/events.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

describe('many streams', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  it('of one process all get the complete text and the end', async () => {
    const users = ['ana', 'ben', 'eva'];
    await stack.model.script('for all', {
      pieces: Array.from({ length: 30 }, (_, n) => `pieza ${n} 😀 `),
      piece_delay_ms: 100,
    });
    const jobs = await Promise.all(
      users.map(async (user) => stack.as(user).turnAsync((await stack.as(user).chat()).id, 'for all')),
    );
    const open = (n: number): ReturnType<typeof openStream> => {
      const user = n % users.length;
      return openStream(stack.api.url, tokenFor(users[user] ?? ''), `/api/v1/jobs/${jobs[user]?.id}/events`);
    };
    const streams = await Promise.all(Array.from({ length: 300 }, (_, n) => open(n)));
    // Streams that leave take nothing from those that stay.
    const [leaving, staying] = [streams.slice(0, 100), streams.slice(100)];
    leaving.forEach((stream) => stream.close());
    const texts = await Promise.all(
      staying.map(async (stream) => {
        const events = await collect(stream);
        return [events.at(-1)?.id, textOf(events)];
      }),
    );
    const { assistant_message } = await stack.as('ana').finalJob(jobs[0]?.id ?? '');
    expect(texts).toHaveLength(200);
    expect(new Set(texts.map(String))).toEqual(new Set([`end,${assistant_message?.content}`]));
  });

  it('may come at the same time, as after a restart: all find room to wait until they are accepted', async () => {
    const api = await stack.startApi();
    // The system's own limit, if it is lower.
    const somaxconn = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
    const most = Math.min(1_500, somaxconn);
    const { hostname, port } = new URL(api.url);
    const request = `GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    api.freeze();
    let [connected, answered] = [0, 0];
    const sockets = Array.from({ length: most }, () => {
      const socket = connect(Number(port), hostname, () => (connected += 1));
      socket
        .on('error', () => undefined)
        .once('data', (bytes) => {
          if (bytes.toString().startsWith('HTTP/1.1 200')) answered += 1;
        });
      return socket;
    });
    try {
      await until(async () => connected === most, 'all to connect', 20_000);
      for (const socket of sockets) socket.write(request);
      api.thaw();
      await until(async () => answered === most, 'all to be answered');
    } finally {
      api.thaw();
      sockets.forEach((socket) => socket.destroy());
      await api.stop();
    }
  });

  it('on one connection come one after the other, and the connection stays usable', async () => {
    const kim = stack.as('kim');
    const chat = await kim.chat();
    await stack.model.script('in line', { pieces: ['uno ', 'dos'], piece_delay_ms: 400 });
    const job = await kim.turnAsync(chat.id, 'in line');
    const { hostname, port } = new URL(stack.api.url);
    const get = (path: string, more = ''): string =>
      `GET /api/v1/jobs/${job.id}${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('kim')}\r\n${more}\r\n`;
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
    // The API takes all of them at once. The second and third answers wait until the first stream has ended.
    socket.write(get('/events') + get('/events') + get('', 'Connection: close\r\n'));
    await once(socket, 'close');
    const answers = received.split(/^(?=HTTP\/1\.1 )/m);
    expect(answers.map((answer) => answer.startsWith('HTTP/1.1 200 OK\r\n'))).toEqual([true, true, true]);
    expect(answers.map((answer) => answer.split('id: end\n').length - 1)).toEqual([1, 1, 0]);
    expect(answers.map((answer) => /\r\nx-request-id: \S+\r\n/i.test(answer))).toEqual([true, true, true]);
    expect(answers[2]).toContain(`{"id":"${job.id}"`);
  });

  it('on one connection may be any number, and all end with it', async () => {
    const lea = stack.as('lea');
    await stack.model.script('many in line', { pieces: ['uno ', 'dos'], piece_delay_ms: 500 });
    const job = await lea.turnAsync((await lea.chat()).id, 'many in line');
    const { hostname, port } = new URL(stack.api.url);
    const open = (more = ''): string =>
      `GET /api/v1/jobs/${job.id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('lea')}\r\n${more}\r\n`;
    const [stays, leaves] = [connect(Number(port), hostname), connect(Number(port), hostname)];
    let received = '';
    stays.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
    stays.write(open().repeat(29) + open('Connection: close\r\n'));
    leaves.write(open().repeat(30));
    await once(leaves, 'data');
    leaves.resetAndDestroy();
    await once(stays, 'close');
    expect(received.split('id: end\n')).toHaveLength(31);
    expect(stack.api.output()).not.toMatch(/warning/i);
  });
});
