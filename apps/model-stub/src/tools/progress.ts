import { blocksOf, type SentBlock, textIn } from '../turns.js';

/** The result of a call, with the tool's name. */
export interface Outcome {
  readonly name: string;
  readonly text: string;
  readonly isError: boolean;
}

/** How far a turn has come, as its messages show it: the stand-in remembers nothing. */
export interface Progress {
  /** The user's text that began the turn. */
  readonly asked: string;
  /** How many times results of calls have come back since. */
  readonly steps: number;
  readonly outcomes: readonly Outcome[];
  /** Text follows results in the last message. */
  readonly talkedOver: boolean;
  /** The blocks of the paused answer that this request continues. */
  readonly paused: readonly SentBlock[];
}

/** Reads how far the last turn of these messages has come. */
export function progressOf(messages: readonly { role: string; content: unknown }[]): Progress {
  const sent = messages.map(({ role, content }) => ({ role, blocks: blocksOf(content) }));
  const began = sent.findLastIndex(({ role, blocks }) => role === 'user' && has(blocks, 'text') && !hasResult(blocks));
  const since = sent.slice(began + 1);
  const names = new Map(
    since.flatMap(({ blocks }) => ofType(blocks, 'tool_use').map(({ id, name }) => [id, String(name)] as const)),
  );
  const answered = since.filter(
    ({ role, blocks }, n) => role === 'user' && hasResult(blocks) && since[n - 1]?.role !== 'user',
  );
  const last = sent.at(-1);
  const firstPaused = sent.findLastIndex(({ role }) => role === 'user') + 1;
  return {
    asked: ofType(sent[began]?.blocks ?? [], 'text')
      .map(textIn)
      .join(''),
    steps: answered.length,
    outcomes: since.flatMap(({ blocks }) =>
      ofType(blocks, 'tool_result').map((block) => ({
        name: names.get(block['tool_use_id']) ?? 'a tool',
        text: textOfResult(block),
        isError: block['is_error'] === true,
      })),
    ),
    talkedOver: last?.role === 'user' && hasResult(last.blocks) && has(last.blocks, 'text'),
    paused: sent.slice(firstPaused).flatMap(({ blocks }) => blocks),
  };
}

function textOfResult({ content }: SentBlock): string {
  return blocksOf(content)
    .map((block) => (block.type === 'text' ? textIn(block) : `(${block.type})`))
    .join(' ');
}

function hasResult(blocks: readonly SentBlock[]): boolean {
  return has(blocks, 'tool_result');
}

function has(blocks: readonly SentBlock[], type: string): boolean {
  return blocks.some((block) => block.type === type);
}

function ofType(blocks: readonly SentBlock[], type: string): SentBlock[] {
  return blocks.filter((block) => block.type === type);
}
