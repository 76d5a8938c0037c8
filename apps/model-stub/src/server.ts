import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { checkKey } from './account.js';
import { control } from './control.js';
import { newId, Refusal, sendError, sendJson } from './http.js';
import { answerMessages } from './messages.js';
import { State } from './state.js';

export interface ModelStubOptions {
  /** 0: any free port. */
  readonly port: number;
  /** Silence before each piece of an unscripted reply, in milliseconds. */
  readonly pieceDelayMs: number;
}

/** Starts the stand-in model on 127.0.0.1. */
export async function startModelStub(options: ModelStubOptions): Promise<{ url: string; close(): Promise<void> }> {
  const state = new State();
  const server = createServer((request, response) => {
    handle(state, options.pieceDelayMs, request, response).catch((error: unknown) => {
      if (!response.headersSent) sendError(response, { status: 500, type: 'api_error', message: String(error) });
      else response.destroy();
    });
  });
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}

async function handle(
  state: State,
  pieceDelayMs: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const route = `${request.method} ${pathname}`;
  if (route === 'POST /v1/messages') return answerMessages(state, pieceDelayMs, request, response);
  if (await control(route, state, request, response)) return;
  try {
    const models = /^GET \/v1\/models(?:\/(.+))?$/u.exec(route);
    if (models === null) throw new Refusal(404, 'not_found_error', `${route} is not part of the stand-in`);
    checkKey(request.headers);
    state.account.check();
    const name = models[1];
    const answer = name === undefined ? state.models.page(searchParams) : state.models.info(decodeURIComponent(name));
    sendJson(response, 200, answer, { 'request-id': newId('req') });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    sendError(response, error);
  }
}
