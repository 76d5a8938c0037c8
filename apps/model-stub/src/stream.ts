import type { ServerResponse } from 'node:http';
import { type Block, startOf, tokensBesideText } from './blocks.js';
import { errorBody, pause, untilClosed } from './http.js';
import type { Plan } from './plan.js';
import { rateLimitHeaders } from './rate-limits.js';
import { inPieces } from './answers/pieces.js';
import { outputTokensOf } from './tokens.js';
import { usageAtEnd, usageAtStart } from './usage.js';

const FLUSH_MS = 20;
const PING_AFTER_EVERY_MS = 200;

export type StreamEnd = 'completed' | 'client_closed' | 'scripted_error' | 'scripted_cut';

/** The stream ends before its message does. */
class Ended extends Error {
  constructor(readonly end: StreamEnd) {
    super(end);
  }
}

/**
 * Streams a message as events of the Messages API, with the script's fault. @returns how the stream ended, and the tokens sent until then
 */
export async function streamMessage(
  response: ServerResponse,
  plan: Plan,
): Promise<{ end: StreamEnd; outputTokens: number }> {
  const stream = new MessageStream(response, plan);
  try {
    await stream.send();
    return { end: 'completed', outputTokens: stream.outputTokens() };
  } catch (error) {
    if (error instanceof Ended) return { end: error.end, outputTokens: stream.begun ? stream.outputTokens() : 0 };
    throw error;
  }
}

class MessageStream {
  private text = '';
  private besideText = 0;
  private pieces = 0;
  private readonly lastText: number;

  constructor(
    private readonly response: ServerResponse,
    private readonly plan: Plan,
  ) {
    this.lastText = plan.blocks.findLastIndex(({ type }) => type === 'text');
  }

  /** Whether any text was sent. */
  get begun(): boolean {
    return this.text !== '' || this.besideText > 0;
  }

  /** The tokens sent so far. */
  outputTokens(): number {
    return outputTokensOf(this.text, this.besideText, this.plan.blocks.length);
  }

  async send(): Promise<void> {
    const { plan } = this;
    const { script } = plan;
    this.response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'request-id': plan.requestId,
      ...rateLimitHeaders(script.rate_limit),
      ...script.headers,
    });
    this.event('message_start', {
      message: {
        id: plan.id,
        type: 'message',
        role: 'assistant',
        model: plan.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        stop_details: null,
        usage: usageAtStart(script, plan.input),
      },
    });
    for (const [index, block] of plan.blocks.entries()) await this.block(block, index);
    // In a message without text, the fault comes at the end.
    if (this.lastText < 0) await this.trouble();
    if (script.end_without_stop !== true) {
      this.event('message_delta', {
        delta: {
          stop_reason: plan.stopReason,
          stop_sequence: plan.stopSequence,
          stop_details: plan.stopDetails,
        },
        usage: usageAtEnd(script, plan.input, plan.blocks, this.outputTokens()),
      });
      this.event('message_stop', {});
    }
    this.response.end();
  }

  private event(type: string, data: object): void {
    this.response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  }

  private async block(block: Block, index: number): Promise<void> {
    this.event('content_block_start', { index, content_block: startOf(block) });
    if (index === 0) this.event('ping', {});
    const delta = (one: object): void => this.event('content_block_delta', { index, delta: one });
    switch (block.type) {
      case 'text':
        await this.textOf(block, index, delta);
        for (const citation of block.citations) delta({ type: 'citations_delta', citation });
        break;
      case 'thinking':
        await this.think(block);
        if (block.display === 'summarized') {
          for (const thinking of inPieces(block.thinking)) {
            const { pieceDelayMs = this.plan.pieceDelayMs } = block;
            if (pieceDelayMs > 0) await this.wait(pieceDelayMs);
            delta({ type: 'thinking_delta', thinking });
          }
        }
        delta({ type: 'signature_delta', signature: block.signature });
        break;
      case 'tool_use':
      case 'server_tool_use':
        this.besideText += tokensBesideText(block);
        for (const partial_json of block.fragments) {
          if (partial_json !== '' && this.plan.pieceDelayMs > 0) await this.wait(this.plan.pieceDelayMs);
          delta({ type: 'input_json_delta', partial_json });
        }
        if (block.cut) await this.cut();
        break;
      case 'raw':
        block.deltas.forEach(delta);
        break;
      default:
        this.besideText += tokensBesideText(block);
    }
    if (this.response.destroyed) throw new Ended('client_closed');
    this.event('content_block_stop', { index });
  }

  /** Sends a text piece by piece. The script's fault comes before a piece, or after the last one. */
  private async textOf(
    block: Extract<Block, { type: 'text' }>,
    index: number,
    delta: (one: object) => void,
  ): Promise<void> {
    if (block.inStart) {
      this.text += block.pieces.join('');
      this.pieces += 1;
    } else {
      for (const text of block.pieces) {
        await this.trouble();
        const { pieceDelayMs } = this.plan;
        if (pieceDelayMs > 0) await this.wait(pieceDelayMs);
        delta({ type: 'text_delta', text });
        this.text += text;
        this.pieces += 1;
      }
    }
    if (index === this.lastText) await this.trouble();
  }

  /** Thinks in silence, except for pings. A client that leaves meanwhile pays for the thinking so far. */
  private async think({ tokens, silentMs, pingEveryMs, cut }: Extract<Block, { type: 'thinking' }>): Promise<void> {
    const before = this.besideText;
    const step = pingEveryMs > 0 ? pingEveryMs : silentMs;
    for (let silent = 0; silent < silentMs; silent += step) {
      this.besideText = before + Math.round((tokens * silent) / silentMs);
      await this.wait(Math.min(step, silentMs - silent));
      if (pingEveryMs > 0 && silent + step < silentMs) this.event('ping', {});
    }
    this.besideText = before + tokens;
    if (cut) await this.cut();
  }

  /** Makes the script's fault before this piece. */
  private async trouble(): Promise<void> {
    const { script, requestId } = this.plan;
    if (this.response.destroyed) throw new Ended('client_closed');
    if (this.pieces === script.cut_after) await this.cut();
    if (this.pieces === script.error_event_after) {
      const type = script.error_type ?? 'overloaded_error';
      const message = script.message ?? 'Overloaded';
      this.event('error', errorBody({ type, message, errorCode: script.error_code }, requestId));
      this.response.end();
      throw new Ended('scripted_error');
    }
    if (this.pieces === script.stall_after) {
      await untilClosed(this.response);
      throw new Ended('client_closed');
    }
    if (this.pieces === script.ping_after) {
      const pings = setInterval(() => this.event('ping', {}), PING_AFTER_EVERY_MS);
      await untilClosed(this.response);
      clearInterval(pings);
      throw new Ended('client_closed');
    }
  }

  private async cut(): Promise<never> {
    // The text so far must leave first, or it would be dropped with the connection.
    await pause(this.response, FLUSH_MS);
    this.response.destroy();
    throw new Ended('scripted_cut');
  }

  private async wait(ms: number): Promise<void> {
    if (!(await pause(this.response, ms))) throw new Ended('client_closed');
  }
}
