import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ASKED_LENGTH, Calls, type Call } from './calls.js';
import { answerTo } from './answer.js';
import { tokensBesideText, whole } from './blocks.js';
import { newId, pause, readJson, Refusal, sendError, sendJson, untilClosed } from './http.js';
import { readMessagesRequest } from './messages-request.js';
import { rateLimitHeaders } from './rate-limits.js';
import { Scripts } from './scripts.js';
import { type Plan, streamMessage } from './stream.js';
import { tokensOf } from './tokens.js';
import { usageOfWhole } from './usage.js';

export interface ModelStubOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Silence before each piece of an unscripted reply, in milliseconds. */
  readonly pieceDelayMs: number;
}

/** Starts the stand-in model on 127.0.0.1. */
export async function startModelStub(options: ModelStubOptions): Promise<{ url: string; close(): Promise<void> }> {
  const stub = new ModelStub(options.pieceDelayMs);
  const server = createServer((request, response) => {
    stub.handle(request, response).catch((error: unknown) => {
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
        return sendError(response, {
          status: 404,
          type: 'not_found_error',
          message: `${route} is not part of the stand-in`,
        });
    }
  }

  private async message(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = newId('req');
    let parsed;
    try {
      if (!request.headers['x-api-key'] && !request.headers.authorization) {
        throw new Refusal(401, 'authentication_error', 'x-api-key header is required');
      }
      parsed = readMessagesRequest(await readJson(request));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return sendError(response, error, requestId);
    }
    const { lastUserText, inputTokens, ...seen } = parsed;
    const script = this.scripts.take(lastUserText) ?? {};
    const call = this.calls.add({
      ...seen,
      id: newId('msg'),
      request_id: requestId,
      asked: lastUserText.slice(-ASKED_LENGTH),
      received_at: new Date().toISOString(),
      outcome: 'running',
      output_tokens: 0,
      ended_at: null,
    });
    const input = {
      input_tokens: inputTokens,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    };
    const said = answerTo(parsed, script, this.pieceDelayMs);
    call.outcome = await this.answer(
      response,
      { id: call.id, requestId, request: parsed, script, input, ...said },
      call,
    );
    call.ended_at = new Date().toISOString();
  }

  private async answer(response: ServerResponse, plan: Plan, call: Call): Promise<Call['outcome']> {
    const { script } = plan;
    if (script.delay_ms !== undefined && !(await pause(response, script.delay_ms))) return 'client_closed';
    if (script.hang_before_headers) {
      await untilClosed(response);
      return 'client_closed';
    }
    const headers = { 'request-id': plan.requestId, ...rateLimitHeaders(script.rate_limit), ...script.headers };
    if (script.body !== undefined) {
      response.writeHead(script.status ?? 200, {
        'content-type': script.content_type ?? 'application/json',
        ...headers,
      });
      response.end(script.body);
      return 'scripted_error';
    }
    if (script.status !== undefined) {
      const type = script.error_type ?? 'api_error';
      const message = script.message ?? 'scripted';
      const fault = { status: script.status, type, message, errorCode: script.error_code };
      sendError(response, fault, plan.requestId, headers);
      return 'scripted_error';
    }
    if (plan.request.stream) {
      const { end, outputTokens } = await streamMessage(response, plan);
      call.output_tokens = outputTokens;
      return end;
    }
    const text = plan.blocks.map((block) => (block.type === 'text' ? block.pieces.join('') : '')).join('');
    const beside = plan.blocks.reduce((sum, block) => sum + tokensBesideText(block), 0);
    call.output_tokens = text === '' && beside > 0 ? beside : tokensOf(text) + beside;
    const content = plan.blocks.map((block) => whole(block));
    sendJson(
      response,
      200,
      {
        id: plan.id,
        type: 'message',
        role: 'assistant',
        model: plan.request.model,
        content: content.filter((block) => !('text' in block && block.text === '')),
        stop_reason: plan.stopReason,
        stop_sequence: null,
        stop_details: plan.stopDetails,
        usage: usageOfWhole(script, plan.input, plan.blocks, call.output_tokens),
      },
      headers,
    );
    return 'completed';
  }
}
