import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ASKED_LENGTH, Calls, type Call } from './calls.js';
import {
  InvalidRequest,
  type MessagesRequest,
  readMessagesRequest,
  tokensOf,
  withinTokens,
} from './messages-request.js';
import { inPieces, standInReply } from './reply.js';
import { type Script, Scripts } from './scripts.js';
import { pause, type Plan, streamMessage, untilClosed, usage } from './stream.js';

export interface ModelStubOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Silence before each piece of an unscripted reply, in milliseconds. */
  readonly pieceDelayMs: number;
}

const LARGEST_BODY_BYTES = 8 * 1024 * 1024;

/** Starts the stand-in model on 127.0.0.1. */
export async function startModelStub(options: ModelStubOptions): Promise<{ url: string; close(): Promise<void> }> {
  const stub = new ModelStub(options.pieceDelayMs);
  const server = createServer((request, response) => {
    stub.handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) sendError(response, 500, 'api_error', String(error));
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

class ModelStub {
  private readonly scripts = new Scripts();
  private readonly calls = new Calls();

  constructor(private readonly pieceDelayMs: number) {}

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = `${request.method} ${request.url?.split('?', 1)[0]}`;
    switch (route) {
      case 'POST /v1/messages':
        return this.message(request, response);
      case 'GET /control/health':
        return sendJson(response, 200, { status: 'ok' });
      case 'GET /control/calls':
        return sendJson(response, 200, { calls: this.calls.list() });
      case 'DELETE /control/calls':
        this.calls.clear();
        return sendJson(response, 200, {});
      case 'DELETE /control/scripts':
        this.scripts.clear();
        return sendJson(response, 200, {});
      case 'POST /control/scripts':
        try {
          this.scripts.add(await readJson(request));
          return sendJson(response, 200, {});
        } catch (error) {
          return sendJson(response, 400, { error: String(error) });
        }
      default:
        return sendError(response, 404, 'not_found_error', `${route} is not part of the stand-in`);
    }
  }

  private async message(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!request.headers['x-api-key'] && !request.headers.authorization) {
      return sendError(response, 401, 'authentication_error', 'x-api-key header is required');
    }
    let parsed;
    try {
      parsed = readMessagesRequest(await readJson(request));
    } catch (error) {
      return sendError(
        response,
        400,
        'invalid_request_error',
        error instanceof InvalidRequest ? error.message : 'invalid JSON',
      );
    }
    const { lastUserText, inputTokens: _, ...seen } = parsed;
    const script = this.scripts.take(lastUserText) ?? {};
    const call = this.calls.add({
      ...seen,
      id: `msg_${randomBytes(12).toString('hex')}`,
      asked: lastUserText.slice(-ASKED_LENGTH),
      received_at: new Date().toISOString(),
      outcome: 'running',
      output_tokens: 0,
      ended_at: null,
    });
    const plan: Plan = { id: call.id, request: parsed, script, ...this.reply(script, parsed) };
    call.outcome = await this.answer(response, plan, call);
    call.ended_at = new Date().toISOString();
  }

  /** What to say: what the script says, whole, or a reply of its own within `max_tokens`. */
  private reply(
    script: Script,
    { lastUserText, max_tokens }: MessagesRequest,
  ): Pick<Plan, 'pieces' | 'pieceDelayMs' | 'stopReason'> {
    const once = script.empty_content ? [] : (script.pieces ?? (script.text && inPieces(script.text)));
    if (once) {
      const pieces = Array.from({ length: script.repeat ?? 1 }, () => once).flat();
      return { pieces, pieceDelayMs: script.piece_delay_ms ?? 0, stopReason: script.stop_reason ?? 'end_turn' };
    }
    const whole = standInReply(lastUserText);
    const text = withinTokens(whole, max_tokens);
    return {
      pieces: inPieces(text),
      pieceDelayMs: script.piece_delay_ms ?? this.pieceDelayMs,
      stopReason: script.stop_reason ?? (text === whole ? 'end_turn' : 'max_tokens'),
    };
  }

  private async answer(response: ServerResponse, plan: Plan, call: Call): Promise<Call['outcome']> {
    const { script } = plan;
    if (script.delay_ms !== undefined && !(await pause(response, script.delay_ms))) return 'client_closed';
    if (script.hang_before_headers) {
      await untilClosed(response);
      return 'client_closed';
    }
    if (script.body !== undefined) {
      response.writeHead(script.status ?? 200, {
        'content-type': script.content_type ?? 'application/json',
        ...script.headers,
      });
      response.end(script.body);
      return 'scripted_error';
    }
    if (script.status !== undefined) {
      sendError(
        response,
        script.status,
        script.error_type ?? 'api_error',
        script.message ?? 'scripted',
        script.headers,
      );
      return 'scripted_error';
    }
    if (plan.request.stream) {
      const { end, outputTokens } = await streamMessage(response, plan);
      call.output_tokens = outputTokens;
      return end;
    }
    const text = plan.pieces.join('');
    call.output_tokens = tokensOf(text);
    sendJson(response, 200, {
      id: plan.id,
      type: 'message',
      role: 'assistant',
      model: plan.request.model,
      content: text === '' ? [] : [{ type: 'text', text }],
      stop_reason: plan.stopReason,
      stop_sequence: null,
      usage: usage(plan.request, call.output_tokens),
    });
    return 'completed';
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY_BYTES) throw new InvalidRequest('the body is too large');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

function sendJson(response: ServerResponse, status: number, body: object, headers: Script['headers'] = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function sendError(
  response: ServerResponse,
  status: number,
  type: string,
  message: string,
  headers: Script['headers'] = {},
): void {
  sendJson(
    response,
    status,
    { type: 'error', error: { type, message }, request_id: `req_${randomBytes(8).toString('hex')}` },
    headers,
  );
}
