import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Call } from './call.js';
import { messagesApi } from './messages-api.js';
import { Model } from './model.js';

describe('the model', () => {
  const servers: Server[] = [];
  const seen: (string | undefined)[] = [];
  let elsewhere: string;
  let status: number;
  let model: Model;
  const listen = async (server: Server): Promise<string> => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  beforeAll(async () => {
    elsewhere = await listen(
      createServer(({ headers }, response) => {
        seen.push(headers['x-api-key'] as string | undefined);
        response.end('{}');
      }),
    );
    const baseUrl = await listen(
      createServer((request, response) => {
        request.resume();
        response.writeHead(status, { location: `${elsewhere}/v1/messages` }).end();
      }),
    );
    const settings = { apiKey: 'the key', baseUrl, idleMs: 5_000, totalMs: 5_000 };
    model = new Model(settings, messagesApi(settings));
  });
  afterAll(() => servers.forEach((server) => server.close()));

  it.each([301, 302, 303, 307, 308])(
    'is not followed to another address, with the key and the chat: %i',
    async (code) => {
      status = code;
      const request = {
        model: 'm',
        maxOutputTokens: 1,
        cacheTtl: '5m' as const,
        user: 'user tag',
        systemPrompt: 's',
        history: [{ seq: 2, role: 'user' as const, content: 'x' }],
        steps: [],
        tools: [],
        mayCallTools: false,
      };
      const reply = model.answer(request, new Call(1, () => undefined), new AbortController().signal, {
        text: () => undefined,
        reasoning: () => undefined,
        source: () => undefined,
      });
      await expect(reply).rejects.toMatchObject({
        code: 'model_misconfigured',
        message: `Nothing at the model’s address answers as a model does (${code}).`,
      });
      expect(seen).toEqual([]);
    },
  );
});
