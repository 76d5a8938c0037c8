import type { ServerResponse } from 'node:http';
import type { MessagesRequest } from './messages-request.js';
import { tokensOf } from './messages-request.js';
import type { Script } from './scripts.js';

export interface Plan {
  readonly id: string;
  readonly request: MessagesRequest;
  readonly script: Script;
  readonly pieces: readonly string[];
  readonly pieceDelayMs: number;
  readonly stopReason: string;
}

const FLUSH_MS = 20;

export type StreamEnd = 'completed' | 'client_closed' | 'scripted_error' | 'scripted_cut';

/** Streams a message in the events of the Messages API, with whatever trouble the script asks for. */
export async function streamMessage(
  response: ServerResponse,
  plan: Plan,
): Promise<{ end: StreamEnd; outputTokens: number }> {
  const { script, request } = plan;
  let sent = '';
  const result = (end: StreamEnd): { end: StreamEnd; outputTokens: number } => ({
    end,
    outputTokens: sent === '' ? 0 : tokensOf(sent),
  });
  const event = (type: string, data: object): void => {
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  };

  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'request-id': plan.id,
    ...script.headers,
  });
  event('message_start', {
    message: {
      id: plan.id,
      type: 'message',
      role: 'assistant',
      model: request.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usage(request, 1),
    },
  });
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
  event('ping', {});

  for (let n = 0; n <= plan.pieces.length; n++) {
    if (response.destroyed) return result('client_closed');
    if (n === script.cut_after) {
      // What was written must leave first: it would be dropped with the connection.
      await pause(response, FLUSH_MS);
      response.destroy();
      return result('scripted_cut');
    }
    if (n === script.error_event_after) {
      event('error', {
        error: { type: script.error_type ?? 'overloaded_error', message: script.message ?? 'Overloaded' },
      });
      response.end();
      return result('scripted_error');
    }
    if (n === script.stall_after) {
      await untilClosed(response);
      return result('client_closed');
    }
    if (n === script.ping_after) {
      const pings = setInterval(() => event('ping', {}), 200);
      await untilClosed(response);
      clearInterval(pings);
      return result('client_closed');
    }
    const piece = plan.pieces[n];
    if (piece === undefined) break;
    if (plan.pieceDelayMs > 0 && !(await pause(response, plan.pieceDelayMs))) return result('client_closed');
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: piece } });
    sent += piece;
  }

  event('content_block_stop', { index: 0 });
  if (script.end_without_stop !== true) {
    event('message_delta', {
      delta: { stop_reason: plan.stopReason, stop_sequence: null },
      usage: { output_tokens: tokensOf(sent) },
    });
    event('message_stop', {});
  }
  response.end();
  return result('completed');
}

/** The usage figures of a message; the stand-in caches nothing. */
export function usage(request: MessagesRequest, outputTokens: number): object {
  return {
    input_tokens: request.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  };
}

/** Waits; false when the client left meanwhile. */
export function pause(response: ServerResponse, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      response.removeListener('close', done);
      resolve(!response.destroyed);
    };
    const timer = setTimeout(done, ms);
    response.once('close', done);
  });
}

/** Waits until the client leaves. */
export function untilClosed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) resolve();
    else response.once('close', () => resolve());
  });
}
