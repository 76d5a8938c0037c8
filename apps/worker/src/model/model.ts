import Anthropic from '@anthropic-ai/sdk';
import { Injectable } from '@nestjs/common';
import type { Reply } from '#jobs/transitions.js';
import type { Settings } from '#settings/settings.js';
import { boundedFetch } from './bounded-fetch.js';
import type { Call } from './call.js';
import { classify } from './classify.js';
import { IdleTimer } from './idle-timer.js';
import { ModelFault } from './model-fault.js';

/**
 * Longest reply, in UTF-16 code units: far beyond any model's bound on output. Escaped at its worst, six for one, an event that
 * holds it is still one that the client reads.
 */
const LONGEST_REPLY = 8 * 1024 * 1024;

/** Time the body has to end after its last event, in milliseconds. */
const END_MS = 1_000;

export interface ModelRequest {
  readonly model: string;
  readonly maxOutputTokens: number;
  readonly systemPrompt: string;
  readonly messages: Anthropic.MessageParam[];
}

/** The model, through the Messages API. */
@Injectable()
export class Model {
  private readonly client: Anthropic;

  constructor(private readonly settings: Settings['model']) {
    this.client = new Anthropic({
      apiKey: settings.apiKey,
      baseURL: settings.baseUrl,
      fetch: boundedFetch(globalThis.fetch),
      // Trying again is the job's business: it frees the worker's slot while it waits and counts attempts.
      maxRetries: 0,
      timeout: settings.idleMs,
      logLevel: 'off',
      // It might lead to another machine, or away from https: `fetch` would take the key and the chat there.
      fetchOptions: { redirect: 'manual' },
    });
  }

  /**
   * Streams a reply; `onText` gets each piece as it comes, `call` what the model tells of the call.
   *
   * A reply counts as complete only when `message_stop` and a stop reason were seen: a stream that is cut ends the
   * SDK's iteration like a complete one.
   *
   * @throws ModelFault
   */
  async reply(request: ModelRequest, call: Call, signal: AbortSignal, onText: (text: string) => void): Promise<Reply> {
    const idle = new IdleTimer(this.settings.idleMs, this.settings.totalMs);
    try {
      call.begin();
      const stream = await this.client.messages.create(
        {
          model: request.model,
          max_tokens: request.maxOutputTokens,
          system: [{ type: 'text', text: request.systemPrompt, cache_control: { type: 'ephemeral' } }],
          messages: request.messages,
          stream: true,
        },
        { signal: AbortSignal.any([signal, idle.signal]) },
      );
      return await collect(stream, call, idle, onText);
    } catch (error) {
      if (idle.signal.aborted && !signal.aborted) {
        throw new ModelFault('model_unavailable', 'The model fell silent.', true, undefined, { cause: error });
      }
      throw classify(error);
    } finally {
      idle.stop();
    }
  }
}

async function collect(
  stream: AsyncIterable<Anthropic.RawMessageStreamEvent>,
  call: Call,
  idle: IdleTimer,
  onText: (text: string) => void,
): Promise<Reply> {
  // An HTML page with status 200 arrives here as a string.
  if (typeof stream !== 'object') throw new Error('not an event stream');
  let content = '';
  let model = '';
  let stopReason: string | null = null;
  let started = false;
  let stopped = false;
  try {
    for await (const event of stream) {
      if (stopped) continue;
      switch (event.type) {
        case 'message_start':
          // Something on the way has asked once more: what follows is another reply, not the rest of this one.
          if (started) throw new Error('a second message in one stream');
          started = true;
          model = label(event.message.model);
          call.tell({
            messageId: label(event.message.id),
            inputTokens: totalInput(event.message.usage),
            outputTokens: count(event.message.usage?.output_tokens),
          });
          break;
        case 'content_block_delta':
          call.alive();
          if (event.delta.type !== 'text_delta') break;
          // PostgreSQL holds no NUL.
          const text = event.delta.text.replaceAll('\0', '');
          content += text;
          if (content.length > LONGEST_REPLY) {
            throw new ModelFault('model_rejected', 'The model’s answer is too long.', false);
          }
          if (text === '') break;
          call.text();
          onText(text);
          break;
        case 'message_delta':
          stopReason = event.delta.stop_reason ? label(event.delta.stop_reason) : stopReason;
          // Where it is left out, what was told at first stands.
          if (event.usage?.output_tokens !== undefined) call.tell({ outputTokens: count(event.usage.output_tokens) });
          break;
        case 'message_stop':
          stopped = true;
          // What remains is the end of the body. To read it keeps the connection for the next call; but nothing more is worth waiting for.
          idle.endIn(END_MS);
          continue;
      }
      // The SDK passes no pings on: a model that only pings counts as silent.
      idle.touch();
    }
  } catch (error) {
    // The message is whole, whatever becomes of the connection.
    if (!stopped) throw error;
  }
  if (!stopped || stopReason === null) throw new Error('the stream ended before the message did');
  if (content.trim() === '' && stopReason !== 'refusal' && stopReason !== 'max_tokens')
    throw new Error('the message is empty');
  return { content: content.toWellFormed(), model, stopReason };
}

/** All input tokens, whether read from the prompt cache, written to it, or neither. */
function totalInput(usage: Partial<Anthropic.Usage> | undefined): number {
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens } = usage ?? {};
  return count(count(input_tokens) + count(cache_creation_input_tokens) + count(cache_read_input_tokens));
}

/*
 * What comes with a reply is not ours to trust: a server that only resembles the API may leave figures out or get them
 * wrong, and a good reply must not be lost for that.
 */

/** Ten times the largest context there is. What is more would count against its user's day, and is no number of tokens. */
const LARGEST_COUNT = 10_000_000;

/** A number of tokens; 0 for what is none. */
function count(value: unknown): number {
  return typeof value === 'number' && value > 0 && value < LARGEST_COUNT ? Math.round(value) : 0;
}

/** A short word that PostgreSQL can hold. */
function label(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
    .replaceAll('\0', '')
    .slice(0, 200)
    .toWellFormed();
}
