import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect } from 'node:net';
import { collect, type OpenedStream, openStream, textOf } from '../support/events.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

// These tests mostly wait, so they run at the same time.
describe('a stream of events on which nothing happens for long', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const follow = (user: string, jobId: string): Promise<OpenedStream> =>
    openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`);

  it.concurrent(
    'says when to reconnect, shows that it is alive, and is neither buffered nor compressed on the way',
    async () => {
      const vic = stack.as('vic');
      const chat = await vic.chat();
      // For two beats: the first may be over before the stream begins. The other test takes longer.
      await stack.model.script('a pause for thought', { text: 'x', delay_ms: 20_000 });
      const job = await vic.turnAsync(chat.id, 'a pause for thought');
      const response = await fetch(`${stack.api.url}/api/v1/jobs/${job.id}/events`, {
        headers: { authorization: `Bearer ${tokenFor('vic')}`, 'accept-encoding': 'gzip, br' },
      });
      expect(response.headers.get('content-encoding')).toBeNull();
      const text = await response.text();
      const [, ms] = /^retry: (\d+)\nevent: job\ndata: \{/.exec(text) ?? [];
      expect(Number(ms)).toBeGreaterThanOrEqual(500);
      expect(Number(ms)).toBeLessThanOrEqual(1_500);
      expect(text).toContain('\n\n:\n');
      // Many clients take each block for an event, and parse its data.
      const blocks = text.split('\n\n').slice(0, -1);
      expect(
        blocks.filter((block) => !/^(?:retry: \d+\n)?(?::\n)*event: \w+\ndata: \{.*\}\nid: \S+$/.test(block)),
      ).toEqual([]);
    },
  );

  it.concurrent('is cut for a reader that does not read, and the turn goes on', async () => {
    const pia = stack.as('pia');
    const chat = await pia.chat();
    const large = 'x'.repeat(200_000);
    await stack.model.script('flood', { pieces: Array.from({ length: 35 }, () => large), piece_delay_ms: 10 });
    const { hostname, port } = new URL(stack.api.url);
    const socket = connect(Number(port), hostname);
    const body = JSON.stringify({ user_message: 'flood' });
    socket.write(
      `POST /api/v1/chats/${chat.id}/turns HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('pia')}\r\n` +
        `Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    socket.on('error', () => undefined);
    socket.pause();
    const { rows } = await until(async () => {
      const found = await stack.database.query(`SELECT id, status FROM jobs WHERE chat_id = $1`, [chat.id]);
      return found.rows[0]?.status === 'succeeded' && found;
    }, 'the reply');
    // Long enough for the API to notice, at the second beat at the latest.
    await new Promise((resolve) => setTimeout(resolve, 21_000));
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await closed;
    expect(received).toContain('event: delta');
    expect(received).not.toContain('id: end');
    // A client that reads gets all of it, however long.
    expect(textOf(await collect(await follow('pia', rows[0]?.id as string)))).toHaveLength(7_000_000);
  });
});
