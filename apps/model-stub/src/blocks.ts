import { newId } from './http.js';
import { inPieces } from './answers/pieces.js';
import type { ScriptBlock, ScriptToolUse } from './script-blocks.js';
import type { Signer } from './thinking.js';
import { tokensOf } from './tokens.js';

/** A content block of an answer, as it will be streamed. */
export type Block =
  | {
      readonly type: 'text';
      readonly pieces: readonly string[];
      readonly citations: readonly object[];
      readonly inStart: boolean;
    }
  | {
      readonly type: 'thinking';
      readonly thinking: string;
      readonly display: 'omitted' | 'summarized';
      /** The silence before each of its pieces, if it is not that of the text. */
      readonly pieceDelayMs: number | undefined;
      readonly signature: string;
      readonly tokens: number;
      readonly silentMs: number;
      readonly pingEveryMs: number;
      readonly cut: boolean;
    }
  | { readonly type: 'redacted_thinking'; readonly data: string }
  | {
      readonly type: 'tool_use' | 'server_tool_use';
      readonly id: string;
      readonly name: string;
      readonly input: object;
      /** The `partial_json` of its deltas. */
      readonly fragments: readonly string[];
      readonly cut: boolean;
    }
  | {
      readonly type: 'server_tool_result';
      /** Its `type` in the message. */
      readonly as: string;
      readonly toolUseId: string;
      readonly content: unknown;
    }
  | { readonly type: 'raw'; readonly block: object; readonly deltas: readonly object[] };

/** Estimated tokens of a redacted thought and of a tool's name. */
export const OVERHEAD_TOKENS = 20;

const PING_EVERY_MS = 1_000;
/** A piece of a tool's input: at most 24 characters. */
const JSON_PIECE = /[^]{1,24}/gu;

/** A text as one block in pieces. */
export function textBlock(pieces: readonly string[]): Block {
  return { type: 'text', pieces, citations: [], inStart: false };
}

/** A script's blocks, with the ids and signatures of this answer. */
export function scriptedBlocks(blocks: readonly ScriptBlock[], signer: Signer): Block[] {
  let searched = newId('srvtoolu');
  return blocks.map((scripted) => {
    const block = planned(scripted);
    signer.add(whole(block));
    return block;
  });

  function planned(block: ScriptBlock): Block {
    switch (block.type) {
      case 'text':
        return {
          type: 'text',
          pieces: block.pieces ?? inPieces(block.text ?? ''),
          citations: block.citations ?? [],
          inStart: block.in_start === true,
        };
      case 'thinking': {
        const { thinking = '', display = 'omitted', tokens = tokensOf(thinking) } = block;
        return {
          type: 'thinking',
          thinking,
          display,
          pieceDelayMs: block.piece_delay_ms,
          signature: signer.sign(display === 'summarized' ? thinking : ''),
          tokens,
          silentMs: block.silent_ms ?? 0,
          pingEveryMs: block.ping_every_ms ?? PING_EVERY_MS,
          cut: block.cut === true,
        };
      }
      case 'redacted_thinking':
        return { type: 'redacted_thinking', data: block.data ?? signer.sign('') };
      case 'tool_use':
        return called(block, block.id ?? signer.callId());
      case 'server_tool_use':
        searched = block.id ?? newId('srvtoolu');
        return called(block, searched);
      case 'web_search_tool_result':
        return resulted(block.type, block);
      case 'server_tool_result':
        return resulted(`${block.kind}_tool_result`, block);
      case 'raw':
        return { type: 'raw', block: block.block, deltas: block.deltas ?? [] };
    }
  }

  function resulted(as: string, { tool_use_id: id, content }: { tool_use_id?: string; content: unknown }): Block {
    return { type: 'server_tool_result', as, toolUseId: id ?? searched, content };
  }
}

function called({ type, name, input, fragments, cut }: ScriptToolUse, id: string): Block {
  return { type, id, name, input, fragments: fragments ?? fragmentsOf(input), cut: cut === true };
}

/** An input in pieces, as the API streams it: an empty one first, and no other for an empty input. */
function fragmentsOf(input: object): string[] {
  const json = JSON.stringify(input);
  return ['', ...(json === '{}' ? [] : (json.match(JSON_PIECE) ?? []))];
}

/** A block as in a whole message. `shown`: the text that was sent, if it was cut off. */
export function whole(block: Block, shown?: string): object {
  switch (block.type) {
    case 'text':
      return {
        ...(block.citations.length > 0 && { citations: block.citations }),
        type: 'text',
        text: shown ?? block.pieces.join(''),
      };
    case 'thinking':
      return {
        type: 'thinking',
        thinking: block.display === 'summarized' ? block.thinking : '',
        signature: block.signature,
      };
    case 'tool_use':
    case 'server_tool_use':
      return { type: block.type, id: block.id, name: block.name, input: block.input, caller: { type: 'direct' } };
    case 'server_tool_result':
      return {
        type: block.as,
        tool_use_id: block.toolUseId,
        content: block.content,
        caller: { type: 'direct' },
      };
    case 'raw':
      return block.block;
    default:
      return block;
  }
}

/** A block as in `content_block_start`: the fields that deltas bring are empty. */
export function startOf(block: Block): object {
  switch (block.type) {
    case 'text':
      return {
        ...(block.citations.length > 0 && { citations: [] }),
        type: 'text',
        text: block.inStart ? block.pieces.join('') : '',
      };
    case 'thinking':
      return { type: 'thinking', thinking: '', signature: '' };
    case 'tool_use':
    case 'server_tool_use':
      return { type: block.type, id: block.id, name: block.name, input: {}, caller: { type: 'direct' } };
    default:
      return whole(block);
  }
}

/** The tokens of a block besides its text. */
export function tokensBesideText(block: Block): number {
  switch (block.type) {
    case 'thinking':
      return block.tokens;
    case 'redacted_thinking':
      return OVERHEAD_TOKENS;
    case 'tool_use':
    case 'server_tool_use':
      return OVERHEAD_TOKENS + tokensOf(block.fragments.join(''));
    default:
      return 0;
  }
}

/** The tokens of a block that went into thinking. */
export function thinkingTokens(block: Block): number {
  return block.type === 'thinking' || block.type === 'redacted_thinking' ? tokensBesideText(block) : 0;
}
