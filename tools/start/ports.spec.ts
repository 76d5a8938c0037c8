import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { claimPorts } from './ports.js';

const HOST = '127.0.0.1';

describe('claimed ports', () => {
  it('are those that were asked for, or any that are free, or none', async () => {
    const { PORT, WORKER_PORT, METRICS_PORT } = await claimPorts(
      { PORT: 0, WORKER_PORT: 0, METRICS_PORT: undefined },
      HOST,
    );
    expect([PORT > 0, WORKER_PORT > 0, METRICS_PORT]).toEqual([true, true, undefined]);
    expect(await claimPorts({ PORT }, HOST)).toEqual({ PORT });
  });

  it('are proposed where one is taken, in a command that works', async () => {
    const taken = createServer().listen(0, HOST);
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const refused = await claimPorts({ PORT: port, WORKER_PORT: 0 }, HOST).then(
      () => '',
      ({ message }: Error) => message,
    );
    const [, proposed] = /^Port \d+ is in use\. Set PORT to another: {2}PORT=(\d+) npm start$/.exec(refused) ?? [];
    expect(Number(proposed)).not.toBe(port);
    expect(await claimPorts({ PORT: Number(proposed) }, HOST)).toEqual({ PORT: expect.any(Number) });
    taken.close();
  });
});
