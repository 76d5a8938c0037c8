import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, it } from '@jest/globals';
import { keepFewConnections } from './few-connections.js';

it('a listener for probes answers them, however many merely connect: the oldest make room', async () => {
  const server = createServer((_, response) => void response.end('alive'));
  keepFewConnections(server, 5);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket.resume();
  };
  const [first = await open(), ...rest] = await Promise.all(Array.from({ length: 5 }, open));
  const closed = once(first, 'close');
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('alive');
  await closed;
  for (const socket of rest) socket.destroy();
  server.close();
  server.closeAllConnections();
});
