import { invalid } from './http.js';
import { digest, essence, type SentBlock, type Turn } from './turns.js';

/** How many paused turns are kept. */
const MOST_PAUSED = 5_000;

/** The turns that the stand-in has paused. Only a paused turn of the assistant may end a request. */
export class Pauses {
  private readonly paused = new Set<string>();

  /** Remembers a paused turn: the assistant's blocks at the end of the request, and the new blocks. */
  add(turns: readonly Turn[], blocks: readonly object[]): void {
    this.paused.add(wordFor([...trailing(turns), ...(blocks as SentBlock[])]));
    for (const oldest of this.paused) {
      if (this.paused.size <= MOST_PAUSED) break;
      this.paused.delete(oldest);
    }
  }

  /** Checks that the last message is the user's, or a turn that was paused, word for word. @throws Refusal */
  check(turns: readonly Turn[], prefill: boolean): void {
    const blocks = trailing(turns);
    if (blocks.length === 0 || prefill || this.paused.has(wordFor(blocks))) return;
    throw invalid(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    );
  }
}

/** The assistant's last turn, if the user has not answered it. */
function trailing(turns: readonly Turn[]): SentBlock[] {
  const last = turns.at(-1);
  return last?.role === 'assistant' ? last.blocks.map(({ block }) => block) : [];
}

function wordFor(blocks: readonly SentBlock[]): string {
  // Blank text may be in an answer, but is refused in a request, so it does not count.
  return digest('', blocks.filter(({ type, text }) => type !== 'text' || String(text).trim() !== '').map(essence));
}
