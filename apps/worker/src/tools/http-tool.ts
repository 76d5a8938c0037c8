import { Injectable, Logger } from '@nestjs/common';
import type { HttpTool } from '#database/entities/tool.js';
import { logLine } from '#process/log-line.js';
import { resolveHeader, resolveUrl } from '#settings/named-variables.js';
import type { Settings } from '#settings/settings.js';
import { keyOf } from '#settings/tools-secrets.js';
import { ACCEPTED_ENCODINGS } from './decoded-body.js';
import { tryOnce } from './http-try.js';
import { pause, pauseBefore, PAUSES_MS } from './pauses.js';
import { signedHeaders } from './signed-headers.js';
import type { ToolCallRequest, ToolRunner } from './tool-call.js';
import type { ToolResult } from './tool-result.js';

/** Headers that only this service sets, besides those in {@link HttpTools.headersOf}. */
const OURS = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'te',
  'trailer',
  'upgrade',
]);

/** Runs tools with `POST` requests, which are signed by Standard Webhooks. */
@Injectable()
export class HttpTools implements ToolRunner<HttpTool> {
  private readonly logger = new Logger(HttpTools.name);
  private readonly keys: readonly Buffer[];

  constructor({ secrets }: Settings['tools']) {
    this.keys = secrets.map(keyOf);
  }

  /**
   * Calls the tool. A tool that may run twice is tried up to three times, with the same body and `Idempotency-Key`; each try may take the
   * tool's time.
   */
  async run(tool: HttpTool, request: ToolCallRequest, signal: AbortSignal): Promise<ToolResult> {
    const about = { assistant: request.assistant, job_id: request.jobId };
    let url: URL;
    let headers: Record<string, string>;
    let body: Buffer;
    try {
      if (this.keys.length === 0) throw new Error('TOOLS_SECRET is not set.');
      url = resolveUrl(tool.url);
      headers = this.headersOf(tool, request);
      body = Buffer.from(JSON.stringify(bodyOf(tool, request)));
    } catch (error) {
      // These messages name variables, never their values.
      const words = `A tool is not available: ${(error as Error).message}`;
      this.logger.error(logLine(words, about));
      return { content: 'The tool is not available.', isError: true };
    }
    for (let tries = 1; ; tries += 1) {
      const signed = { ...headers, ...signedHeaders(this.keys, request.callId, new Date(), body) };
      const { result, again, retryAfter, error } = await tryOnce(tool, { url, headers: signed, body }, signal);
      const nextMs = again && tool.repeatable ? PAUSES_MS[tries - 1] : undefined;
      const waitMs = nextMs === undefined ? undefined : pauseBefore(nextMs, retryAfter);
      if (waitMs === undefined) {
        if (error !== undefined) this.logger.warn(logLine('A tool did not answer.', { ...about, count: tries }, error));
        return result;
      }
      await pause(waitMs, signal);
    }
  }

  private headersOf(tool: HttpTool, { callId, traceparent }: ToolCallRequest): Record<string, string> {
    const own = Object.entries(tool.headers).map(
      ([name, value]) => [name.toLowerCase(), resolveHeader(value)] as const,
    );
    return {
      ...Object.fromEntries(own.filter(([name]) => !OURS.has(name))),
      'content-type': 'application/json',
      accept: 'application/json, text/*;q=0.9',
      'accept-encoding': ACCEPTED_ENCODINGS,
      'user-agent': 'Rejoinder',
      'idempotency-key': callId,
      ...(traceparent !== null && { traceparent }),
    };
  }
}

function bodyOf({ name }: HttpTool, request: ToolCallRequest): object {
  return {
    call_id: request.callId,
    name,
    input: request.input,
    user_id: request.userId,
    chat_id: request.chatId,
    job_id: request.jobId,
    assistant: request.assistant,
  };
}
