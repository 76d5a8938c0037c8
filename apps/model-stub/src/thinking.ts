import { createHmac } from 'node:crypto';
import { invalid } from './http.js';
import type { Model } from './models/model.js';
import { blocksOf, digest, essence, type SentBlock, type Turn } from './turns.js';

/** Anybody may know it: all that matters is that a client which changes a thought or makes one up is found out. */
const KEY = 'the stand-in model';

/** What a signature vouches for. */
interface Vouched {
  readonly model: string;
  /** All that came before the thought. */
  readonly before: string;
  /** The thought, as it was sent. */
  readonly thought: string;
}

/** Signs the thoughts of an answer: each is bound to the model, to the conversation so far and to its own words. */
export class Signer {
  private before: string;

  constructor(
    private readonly model: string,
    system: unknown,
    turns: readonly Turn[],
  ) {
    this.before = beginning(system);
    for (const { role, blocks } of turns) for (const { block } of blocks) this.before = next(this.before, role, block);
  }

  /** The signature of the next block, which is a thought. */
  sign(thought: string): string {
    return seal({ model: this.model, before: this.before, thought: digest(thought) });
  }

  /** The next block of the answer, as it will be in the whole message. */
  add(block: object): void {
    this.before = next(this.before, 'assistant', block as SentBlock);
  }
}

/** Checks all thoughts that are sent back: they must be as they were, and where they were. @throws Refusal */
export function checkThoughts(model: Model, system: unknown, turns: readonly Turn[]): void {
  let before = beginning(system);
  const latest = turns.findLastIndex(({ role }) => role === 'assistant');
  turns.forEach(({ role, blocks }, n) => {
    for (const { block, message, place } of blocks) {
      const { type } = block;
      if (type === 'thinking' || type === 'redacted_thinking') {
        const at = `messages.${message}.content.${place}`;
        if (role !== 'assistant') throw invalid(`${at}: \`${type}\` blocks may only be in \`assistant\` messages`);
        checkThought(model, block, before, at, n === latest);
      }
      before = next(before, role, block);
    }
  });
}

function checkThought(model: Model, block: SentBlock, before: string, at: string, latest: boolean): void {
  const redacted = block.type === 'redacted_thinking';
  const vouched = unseal(redacted ? block['data'] : block['signature']);
  const wrong = `${at}: Invalid \`${redacted ? 'data' : 'signature'}\` in \`${block.type}\` block`;
  if (vouched === undefined) throw invalid(wrong);
  if (vouched.thought !== digest(redacted ? '' : String(block['thinking']))) {
    throw invalid(
      latest
        ? `${at}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
            'These blocks must remain as they were in the original response.'
        : wrong,
    );
  }
  if (!model.boundThinking) return;
  const bound = (to: string): string =>
    `${wrong}. The block is bound to a different ${to}. Remove the block, or set ` +
    '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".';
  if (vouched.model !== model.id) throw invalid(bound('model'));
  if (vouched.before !== before) throw invalid(bound('conversation'));
}

function beginning(system: unknown): string {
  return digest('', blocksOf(system).map(essence));
}

/** Empty text is nothing: it is in no message that can be sent back. */
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
