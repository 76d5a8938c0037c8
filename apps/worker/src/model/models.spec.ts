import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type Anthropic from '@anthropic-ai/sdk';
import { timeLimit } from '#process/time-limit.js';
import { messagesApi } from './messages-api.js';
import { askForModels, LARGEST_MODELS, NoModelList } from './models.js';

const NAMES = new Set(['one']);

describe('the models of a server', () => {
  let server: Server;
  let api: Anthropic;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let asked: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      answer(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    api = messagesApi({ apiKey: 'key', baseUrl, idleMs: 5_000, totalMs: 5_000 }, LARGEST_MODELS);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const json = (response: ServerResponse, body: unknown, status = 200): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const model = (id: string, more: object = {}): object => ({ type: 'model', id, ...more });
  const page = (data: unknown, last?: string): object => ({
    data,
    has_more: last !== undefined,
    first_id: null,
    last_id: last ?? null,
  });
  /** Answers by path, or by path and one parameter; other requests get 404. */
  const serve = (answers: Record<string, unknown>): void => {
    asked = [];
    answer = ({ url = '' }, response) => {
      const { pathname, searchParams } = new URL(url, 'http://x');
      const key = [...searchParams]
        .map(([name, value]) => `${pathname}?${name}=${value}`)
        .find((candidate) => candidate in answers);
      const found = answers[key ?? pathname];
      if (found === undefined) json(response, { type: 'error', error: { type: 'not_found_error', message: 'x' } }, 404);
      else if (typeof found === 'number') json(response, {}, found);
      else json(response, found);
    };
  };
  const ask = (names: ReadonlySet<string>, ms = 30_000): ReturnType<typeof askForModels> =>
    askForModels(api, names, timeLimit(ms).signal);

  it('are those of all pages of its list', async () => {
    serve({
      '/v1/models': page([model('one'), model('two')], 'two'),
      '/v1/models?after_id=two': page([model('three', { max_tokens: 3 })]),
    });
    const models = await ask(new Set(['one', 'three']));
    expect([...models.keys()]).toEqual(['one', 'three']);
    expect(models.get('three')).toMatchObject({ maxTokens: 3 });
    expect(asked).toHaveLength(2);
  });

  it('are asked for by name where the list lacks them: an alias is known by what it stands for', async () => {
    serve({ '/v1/models': page([model('one-1')]), '/v1/models/one': model('one-1', { max_tokens: 7 }) });
    expect(await ask(NAMES)).toEqual(new Map([['one', expect.objectContaining({ maxTokens: 7 })]]));
  });

  it('are unknown once neither the list, nor their name, nor the list of the retired has them', async () => {
    serve({
      '/v1/models': page([model('one')]),
      '/v1/models?lifecycle[]=retired': page([model('old', { lifecycle: 'retired' })]),
    });
    const models = await ask(new Set(['one', 'old', 'typo']));
    expect([models.get('old'), models.get('typo')]).toEqual([
      expect.objectContaining({ lifecycle: 'retired' }),
      'unknown',
    ]);
  });

  it('are unknown, too, where a server refuses to list the retired', async () => {
    serve({ '/v1/models': page([model('two')]), '/v1/models?lifecycle[]=retired': 400 });
    expect(await ask(NAMES)).toEqual(new Map([['one', 'unknown']]));
  });

  it('are left out where the server fails to say', async () => {
    serve({ '/v1/models': page([model('two')]), '/v1/models/one': 500 });
    expect(await ask(NAMES)).toEqual(new Map());
  });

  it.each([
    ['an empty list', page([])],
    ['a list of something else', { object: 'list', data: [{ id: 'one', object: 'model' }] }],
    ['something that is no list', { data: { one: model('one') } }],
    ['an object', { models: [] }],
  ])('are not told by %s', async (_, body) => {
    serve({ '/v1/models': body });
    await expect(ask(NAMES)).rejects.toThrow(NoModelList);
  });

  it('are not told by a page of HTML, by an error, nor by another address', async () => {
    answer = (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    await expect(ask(NAMES)).rejects.toThrow(NoModelList);
    answer = (_, response) => json(response, null);
    await expect(ask(NAMES)).rejects.toThrow();
    serve({});
    await expect(ask(NAMES)).rejects.toMatchObject({ status: 404 });
    asked = [];
    answer = (_, response) => void response.writeHead(302, { location: '/elsewhere' }).end();
    await expect(ask(NAMES)).rejects.toMatchObject({ status: 302 });
    expect(asked).toHaveLength(1);
  });

  it('are read of twenty pages, of a list that goes on for ever', async () => {
    asked = [];
    answer = (_, response) => json(response, page([model('one')], 'one'));
    expect((await ask(NAMES)).size).toBe(1);
    expect(asked).toHaveLength(20);
  });

  it('are not waited for longer than allowed, nor read at any length', async () => {
    answer = () => undefined;
    await expect(ask(NAMES, 50)).rejects.toThrow();
    answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"data":[');
    };
    await expect(ask(NAMES, 500)).rejects.toThrow();
    answer = (_, response) => json(response, page([model('one', { display_name: 'x'.repeat(5 * 1024 * 1024) })]));
    await expect(ask(NAMES)).rejects.toThrow('too long');
  });
});
