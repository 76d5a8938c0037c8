import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Connections } from './connections.js';
import { Origins } from './cors.js';
import { answerRawError } from './raw-errors.js';
import { keepUnusedOpen } from './unused-connections.js';

const HEADERS_MS = 200;
const KEPT_MS = 600;
/** Node adds this to the time that it announces, and so does the service. */
const GRACE_MS = 1_000;

describe('a connection that was opened and not used', () => {
  let server: Server;
  let sockets: Socket[] = [];
  beforeEach(async () => {
    const timeouts = { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 20, keepAliveTimeout: KEPT_MS };
    server = createServer(timeouts, (request, response) => void request.resume().on('end', () => response.end('yes')));
    server.setTimeout(100);
    const connections = new Connections();
    connections.watch(server);
    keepUnusedOpen(server, KEPT_MS);
    server.on('clientError', (error, socket) =>
      answerRawError(error, socket as Socket, connections, new Origins([], '/')),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    sockets.forEach((socket) => socket.destroy());
    sockets = [];
    server.closeAllConnections();
    server.close();
  });

  const open = async (): Promise<{ socket: Socket; received: () => string; closed: Promise<number> }> => {
    const begun = Date.now();
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    sockets.push(socket);
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => (received += text));
    const closed = once(socket, 'close').then(() => Date.now() - begun);
    await once(socket, 'connect');
    return { socket, received: () => received, closed };
  };

  it('is closed without a word, when one that was used would be', async () => {
    const [unused, used] = [await open(), await open()];
    used.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const [unusedMs, usedMs] = await Promise.all([unused.closed, used.closed]);
    expect(unused.received()).toBe('');
    expect(used.received()).toMatch(/^HTTP\/1\.1 200 .*yes/s);
    for (const ms of [unusedMs, usedMs]) {
      expect(ms).toBeGreaterThan(KEPT_MS);
      expect(ms).toBeLessThan(KEPT_MS + GRACE_MS + 1_000);
    }
  });

  it('takes a request all that time, which then has its own', async () => {
    const [whole, half, silent] = [await open(), await open(), await open()];
    await sleep(2 * HEADERS_MS);
    silent.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh');
    whole.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi');
    const begun = Date.now();
    half.socket.write('POST / HTTP/1.1\r\nHos');
    await half.closed;
    expect(Date.now() - begun).toBeGreaterThan(HEADERS_MS - 20);
    expect(half.received()).toMatch(/^HTTP\/1\.1 408 .*"request_timeout"/s);
    expect((await silent.closed) - 2 * HEADERS_MS).toBeLessThan(KEPT_MS);
    expect(whole.received()).toMatch(/^HTTP\/1\.1 200 .*yes$/s);
  });
});
