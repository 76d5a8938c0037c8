import { getEventListeners, once, setMaxListeners } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { linkedSignal } from './linked-signal.js';
import { timeLimit } from './time-limit.js';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

const CALLS = 20;
const LIMIT_MS = 500;
/** Longest wait for calls that should have ended, in milliseconds. */
const GIVEN_UP_MS = 5_000;

describe('a time limit', () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    // The server begins an answer and never ends it.
    server = createServer((_, response) => void response.writeHead(200).write('and then')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  /** How many of {@link CALLS} endless bodies are given up in time while the garbage collector runs. */
  const givenUp = async (call: (stay: AbortSignal) => Promise<Response>): Promise<number> => {
    const leave = new AbortController();
    setMaxListeners(CALLS, leave.signal);
    let ended = 0;
    for (let n = 0; n < CALLS; n++) {
      void (async () => {
        await (await call(leave.signal)).text();
      })().catch(() => (ended += 1));
    }
    // The event loop must turn in between: V8 keeps an object that a weak reference has returned until the end of the turn.
    for (const begun = Date.now(); ended < CALLS && Date.now() - begun < GIVEN_UP_MS; await sleep(20)) collect();
    return ended;
  };

  it.each([
    ['alone', () => fetch(url, { signal: timeLimit(LIMIT_MS).signal })],
    ['beside another signal', (stay: AbortSignal) => fetch(url, { signal: timeLimit(LIMIT_MS, stay).signal })],
    [
      'within another link',
      (stay: AbortSignal) => fetch(url, { signal: linkedSignal(stay, timeLimit(LIMIT_MS).signal).signal }),
    ],
    [
      'within another limit',
      (stay: AbortSignal) => fetch(url, { signal: timeLimit(60_000, stay, timeLimit(LIMIT_MS).signal).signal }),
    ],
  ])('ends every body that is awaited, though the collector runs: %s', async (_, call) => {
    expect(await givenUp(call)).toBe(CALLS);
  });

  it('aborts as AbortSignal.timeout does, and says that it was late', async () => {
    const limit = timeLimit(5);
    expect(limit.late).toBe(false);
    await once(limit.signal, 'abort');
    expect([(limit.signal.reason as Error).name, limit.late]).toEqual(['TimeoutError', true]);
  });

  it('aborts with the first of its sources, for its reason, and was not late', () => {
    const source = new AbortController();
    const limit = timeLimit(60_000, source.signal);
    source.abort('left');
    expect([limit.signal.reason, limit.late]).toEqual(['left', false]);
    limit.release();
  });

  it('leaves nothing with its sources once it is over, or released', async () => {
    const source = new AbortController();
    const [over, released] = [timeLimit(5, source.signal), timeLimit(5, source.signal)];
    released.release();
    await once(over.signal, 'abort');
    await sleep(10);
    expect(released.signal.aborted).toBe(false);
    expect(getEventListeners(source.signal, 'abort')).toEqual([]);
  });
});
