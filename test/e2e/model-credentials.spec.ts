import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Proxy } from '../support/proxy.js';
import { credentialsFetch, noCredentials } from '../../apps/worker/src/model/credentials.js';

describe('asking a server for credentials', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });
  const serve = async (answer: RequestListener): Promise<number> => {
    const server = createServer(answer).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  it('goes through the proxy to a server of https elsewhere, and to no other', async () => {
    const port = await serve((_, response) => response.end('here'));
    const between = await Proxy.start(port);
    try {
      const proxy = { name: 'HTTPS_PROXY', url: `http://127.0.0.1:${between.port}` };
      const ask = credentialsFetch({ proxy, noProxy: '.internal' });
      // The server behind the proxy has no TLS, so the proxy sees the tunnel, and no call comes of it.
      await expect(ask('https://sts.eu-west-1.example/', { method: 'POST', body: 'x' })).rejects.toThrow('HTTPS_PROXY');
      expect(between.asked).toEqual(['CONNECT sts.eu-west-1.example:443']);
      expect(await (await ask(`http://127.0.0.1:${port}/`)).text()).toBe('here');
      await expect(ask('https://sts.internal/')).rejects.not.toThrow('HTTPS_PROXY');
      expect(between.asked).toHaveLength(1);
    } finally {
      await between.stop();
    }
  });

  it('takes no redirect, no endless answer, and no silence', async () => {
    const elsewhere: string[] = [];
    const other = await serve((request, response) => (elsewhere.push(String(request.url)), response.end()));
    const port = await serve((request, response) => {
      if (request.url === '/moved') response.writeHead(307, { location: `http://127.0.0.1:${other}/` }).end();
      if (request.url === '/endless') response.end('x'.repeat(1024 * 1024 + 1));
      if (request.url === '/stalls') response.write('x');
      if (request.url === '/nothing') response.writeHead(204).end();
    });
    const ask = credentialsFetch(undefined, 500);
    const at = (path: string): Promise<Response> => ask(`http://127.0.0.1:${port}${path}`);
    expect([(await at('/moved')).status, elsewhere]).toEqual([307, []]);
    await expect(at('/endless')).rejects.toMatchObject({ code: 'model_rejected' });
    await expect(at('/stalls')).rejects.toThrow('time limit');
    await expect(at('/silent')).rejects.toThrow('time limit');
    expect((await at('/nothing')).status).toBe(204);
  });

  it('in vain is a fault that says why, without what a program’s command line holds', () => {
    const words = (error: unknown): string => (noCredentials(error).cause as Error).message;
    expect(words(new Error('No profile "x" in the file.\nlong hints'))).toBe('No profile "x" in the file.');
    expect(words(new Error('Command failed: get-keys --password qpxz'))).toBe('no reason given');
    expect(words('thrown')).toBe('no reason given');
    expect(noCredentials(new Error('x'))).toMatchObject({ code: 'model_unauthorized', operator: 'all', most: 1 });
  });
});
