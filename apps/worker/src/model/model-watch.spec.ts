import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { LogLine } from '#process/log-line.js';
import { messagesApi } from './messages-api.js';
import type { OfferedAssistant } from './model-check.js';
import { ModelWatch } from './model-watch.js';

describe('the watch over models', () => {
  let server: Server;
  let asked = 0;
  let checked = 0;
  let status = 200;
  let offered: OfferedAssistant[] = [];
  let watch: ModelWatch;
  const logged: string[] = [];
  const assistant: OfferedAssistant = {
    slug: 'support',
    model: 'one',
    fallbackModel: null,
    maxOutputTokens: 10,
    contextTokens: 100,
    thinking: null,
    effort: null,
    showReasoning: false,
    hasOutputSchema: false,
  };
  beforeAll(async () => {
    server = createServer((request, response) => {
      const listed = request.url?.startsWith('/v1/models?') === true;
      if (listed && !request.url?.includes('lifecycle')) asked += 1;
      response.writeHead(listed ? status : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ data: [{ type: 'model', id: 'one', max_tokens: 100 }], has_more: false }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    [asked, checked, status, offered] = [0, 0, 200, [assistant]];
    logged.length = 0;
    for (const level of ['log', 'warn'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation((message: string | LogLine) => {
        logged.push(`${level}: ${typeof message === 'string' ? message : message.words}`);
      });
    }
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const manager = { query: async () => ((checked += 1), offered) } as unknown as EntityManager;
    watch = new ModelWatch(manager, messagesApi({ apiKey: 'key', baseUrl, idleMs: 5_000, totalMs: 5_000 }));
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('asks also for models that answer in the place of others', async () => {
    offered = [{ ...assistant, fallbackModel: 'two' }];
    await watch.check();
    expect(logged).toEqual([
      expect.stringMatching(/^warn: The assistant "support" has the fallback_model "two", which/),
    ]);
  });

  it('says a finding once, and when all is well again; the server is asked once for all that', async () => {
    await watch.check();
    expect([logged, watch.healthDetails().model.findings]).toEqual([[], []]);
    offered = [{ ...assistant, maxOutputTokens: 200 }];
    await watch.check();
    await watch.check();
    expect(logged).toEqual([expect.stringMatching(/^warn: The assistant "support" has max_output_tokens: 200/)]);
    expect(watch.healthDetails().model).toEqual({
      checked_at: expect.any(String),
      findings: [expect.objectContaining({ assistant: 'support', model: 'one', kind: 'max_output_tokens' })],
    });
    offered = [assistant];
    await watch.check();
    expect([logged[1], watch.findings]).toEqual(['log: the assistants suit their models again', []]);
    expect(asked).toBe(1);
  });

  it('asks anew for a model that it has not asked for, once', async () => {
    await watch.check();
    offered = [assistant, { ...assistant, slug: 'sales', model: 'two' }];
    await watch.check();
    await watch.check();
    expect([asked, watch.findings]).toEqual([2, [expect.objectContaining({ assistant: 'sales', kind: 'unknown' })]]);
  });

  it('says once that a server does not tell, and neither asks nor looks until it is due', async () => {
    status = 404;
    await watch.check();
    await watch.check();
    offered = [{ ...assistant, model: 'two' }];
    await watch.check();
    expect([asked, checked, watch.healthDetails()]).toEqual([1, 1, { model: { checked_at: null, findings: [] } }]);
    expect(logged).toEqual([
      'log: the model’s server does not list its models: the worker does not check the assistants',
    ]);
  });

  it('holds assistants against what the server told before, should it tell no more', async () => {
    await watch.check();
    status = 500;
    offered = [
      { ...assistant, maxOutputTokens: 200 },
      { ...assistant, slug: 'sales', model: 'two' },
    ];
    await watch.check();
    expect([asked, watch.findings]).toEqual([
      2,
      [expect.objectContaining({ assistant: 'support', kind: 'max_output_tokens' })],
    ]);
  });

  it('does not ask before there are assistants', async () => {
    offered = [];
    await watch.check();
    expect([asked, logged]).toEqual([0, []]);
    offered = [assistant];
    await watch.check();
    expect(asked).toBe(1);
  });

  it('of a provider without a list asks nobody, and finds nothing', async () => {
    watch = new ModelWatch({ query: async () => ((checked += 1), offered) } as unknown as EntityManager, undefined);
    watch.onApplicationBootstrap();
    await watch.check();
    await watch.beforeApplicationShutdown();
    expect([asked, checked, logged]).toEqual([0, 0, []]);
    expect(watch.healthDetails()).toEqual({ model: { checked_at: null, findings: [] } });
  });

  it('asks again after an hour', async () => {
    await watch.check();
    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now + 3_600_001);
    await watch.check();
    expect(asked).toBe(2);
  });
});
