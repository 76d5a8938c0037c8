import { createHmac } from 'node:crypto';
import { invalid } from './http.js';
import type { Model } from './models/model.js';
import { isThought, newCallId, signatureOf } from './call-ids.js';
import { blocksOf, definition, digest, essence, type SentBlock, type Turn } from './turns.js';

/** The key is no secret: it only detects clients that change or invent a thought. */
const KEY = 'the stand-in model';

/** The parts of a request before its messages. */
interface Instructions {
  readonly tools: unknown;
  readonly system: unknown;
}

/** The values that a signature covers. */
interface Vouched {
  readonly model: string;
  /** Everything before the thought: tools, system and messages. */
  readonly before: string;
  /** The thought, as it was sent. */
  readonly thought: string;
}

/** Signs the thoughts of an answer: each is bound to the model, to the conversation so far and to its own words. */
export class Signer {
  private readonly written: SentBlock[] = [];

  /** @param instructions the request's tools and system prompt */
  constructor(
    private readonly model: string,
    private readonly instructions: Instructions,
    private readonly turns: readonly Turn[],
  ) {}

  /** The signature of the next block, which is a thought. */
  sign(thought: string): string {
    let before = beginning(this.instructions);
    for (const { role, blocks } of this.turns) for (const { block } of blocks) before = next(before, role, block);
    for (const block of this.written) before = next(before, 'assistant', block);
    return seal({ model: this.model, before, thought: digest(thought) });
  }

  /** The id of the next block, which is a call. */
  callId(): string {
    const last = this.turns.at(-1);
    // A paused answer and the one that continues it are one message to the model.
    const paused = last?.role === 'assistant' ? last.blocks.map(({ block }) => block) : [];
    return newCallId([...paused, ...this.written].filter(isThought).map(signatureOf));
  }

  /** The next block of the answer, as it will be in the whole message. */
  add(block: object): void {
    this.written.push(block as SentBlock);
  }
}

/** Checks all thoughts that a request sends back: they must be unchanged and, unless `dropsMoved`, at their old place. @throws Refusal */
export function checkThoughts(
  model: Model,
  instructions: Instructions,
  turns: readonly Turn[],
  dropsMoved: boolean,
): void {
  if (!turns.some(({ blocks }) => blocks.some(({ block }) => isThought(block)))) return;
  const bound = model.boundThinking && !dropsMoved;
  let before = beginning(instructions);
  const latest = turns.findLastIndex(({ role }) => role === 'assistant');
  turns.forEach(({ role, blocks }, n) => {
    for (const { block, message, place } of blocks) {
      if (isThought(block)) {
        const at = `messages.${message}.content.${place}`;
        if (role !== 'assistant')
          throw invalid(`${at}: \`${block.type}\` blocks may only be in \`assistant\` messages`);
        const vouched = checkWords(block, at, n === latest);
        if (bound) checkPlace(vouched, model, before, at, block);
      }
      before = next(before, role, block);
    }
  });
}

function checkWords(block: SentBlock, at: string, latest: boolean): Vouched {
  const redacted = block.type === 'redacted_thinking';
  const vouched = unseal(redacted ? block['data'] : block['signature']);
  if (vouched === undefined) throw invalid(wrong(block, at));
  if (vouched.thought === digest(redacted ? '' : String(block['thinking']))) return vouched;
  throw invalid(
    latest
      ? `${at}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
          'These blocks must remain as they were in the original response.'
      : wrong(block, at),
  );
}

function checkPlace(vouched: Vouched, model: Model, before: string, at: string, block: SentBlock): void {
  const other = vouched.model !== model.id ? 'model' : vouched.before !== before ? 'conversation' : undefined;
  if (other === undefined) return;
  throw invalid(
    `${wrong(block, at)}. The block is bound to a different ${other}. Remove the block, or set ` +
      '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".',
  );
}

function wrong({ type }: SentBlock, at: string): string {
  return `${at}: Invalid \`${type === 'thinking' ? 'signature' : 'data'}\` in \`${type}\` block`;
}

function beginning({ tools, system }: Instructions): string {
  return digest(
    '',
    (Array.isArray(tools) ? (tools as SentBlock[]) : []).map(definition),
    blocksOf(system).map(essence),
  );
}

/** Empty text does not count, since a request must not contain it. */
function next(before: string, role: string, block: SentBlock): string {
  return block.type === 'text' && block['text'] === '' ? before : digest(before, role, essence(block));
}

function seal(vouched: Vouched): string {
  const body = Buffer.from(JSON.stringify(vouched)).toString('base64url');
  return `${body}.${mac(body)}`;
}

function unseal(signature: unknown): Vouched | undefined {
  if (typeof signature !== 'string') return undefined;
  const [body = '', tag] = signature.split('.');
  return tag === mac(body) ? (JSON.parse(Buffer.from(body, 'base64url').toString()) as Vouched) : undefined;
}

function mac(body: string): string {
  return createHmac('sha256', KEY).update(body).digest('base64url');
}
