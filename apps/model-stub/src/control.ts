import type { IncomingMessage, ServerResponse } from 'node:http';
import { billOf } from './bill.js';
import { readJson, sendJson } from './http.js';
import type { State } from './state.js';

/** An operation by which tests control the stand-in, under `/control`. */
type Handler = (state: State, body: () => Promise<unknown>) => object | Promise<object>;

const DONE = {};

const ROUTES: Readonly<Record<string, Handler>> = {
  'GET /control/health': () => ({ status: 'ok' }),
  'GET /control/calls': ({ calls }) => ({ calls: calls.list() }),
  'DELETE /control/calls': ({ calls }) => done(calls.clear()),
  'GET /control/bill': ({ calls }) => billOf(calls.list()),
  'POST /control/scripts': async ({ scripts }, body) => done(scripts.add(await body())),
  'DELETE /control/scripts': ({ scripts }) => done(scripts.clear()),
  'POST /control/account': async ({ account }, body) => done(account.become(await body())),
  'POST /control/models': async ({ models }, body) => done(models.change(await body())),
  'DELETE /control/models': ({ models }) => done(models.reset()),
  'POST /control/clock': async ({ clock }, body) => done(clock.pass(await body())),
  'DELETE /control/cache': ({ cache }) => done(cache.clear()),
};

/** Answers a request to the control API; false: the request is for another path. An invalid body gets 400. */
export async function control(
  route: string,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const handler = ROUTES[route];
  if (handler === undefined) return false;
  try {
    sendJson(response, 200, await handler(state, () => readJson(request)));
  } catch (error) {
    sendJson(response, 400, { error: String(error) });
  }
  return true;
}

function done(_: void): object {
  return DONE;
}
