import type { InputUsage } from '../usage.js';
import type { Prompt, Ttl } from './prompt.js';

/** Most entries. An entry is only a hash and a time. */
const MOST_ENTRIES = 5_000;

/**
 * How many blocks the cache searches for each mark, including the mark's own. Anthropic's own API counts consecutive calls of tools as one
 * block, and consecutive results, too. Other platforms promise no such thing, so the bill here is the higher one.
 */
const LOOK_BACK = 20;

const TTL_MS: Record<Ttl, number> = { '5m': 5 * 60_000, '1h': 60 * 60_000 };

interface Entry {
  readonly ttl: Ttl;
  until: number;
}

/** A call's use of the cache: the part that it reads, and the part that it writes. */
export interface Use {
  readonly usage: InputUsage;
  /** Writes and refreshes entries. It is called when the answer begins: no other call can read an entry before that. */
  keep(): void;
}

/** Stored prompts, by the rules of the API: prefixes up to a mark, word for word, for five minutes or an hour. */
export class PromptCache {
  private readonly entries = new Map<string, Entry>();

  /** @param now the time in milliseconds */
  constructor(private readonly now: () => number) {}

  /** The use of the cache by a prompt whose model caches prompts of `from` tokens or more. */
  use(prompt: Prompt, from: number): Use {
    const marks = prompt.marks.filter(({ at }) => tokensAt(prompt, at) >= from);
    const begun = this.now();
    const hit = this.longestHit(prompt, marks, begun);
    const read = hit === undefined ? 0 : tokensAt(prompt, hit);
    const written = marks.filter(({ at }) => hit === undefined || at > hit);
    const end = (ttl: Ttl | undefined): number => {
      const last = written.findLast((mark) => ttl === undefined || mark.ttl === ttl);
      return last === undefined ? read : tokensAt(prompt, last.at);
    };
    const forHour = end('1h') - read;
    const forMinutes = end(undefined) - read - forHour;
    return {
      usage: {
        input_tokens: prompt.tokens - read - forHour - forMinutes,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: forHour + forMinutes,
        cache_creation: { ephemeral_5m_input_tokens: forMinutes, ephemeral_1h_input_tokens: forHour },
      },
      keep: () => {
        if (hit !== undefined) this.refresh(prompt.blocks[hit]?.word ?? '', begun);
        for (const { at, ttl } of written) this.write(prompt.blocks[at]?.word ?? '', ttl, begun);
      },
    };
  }

  /** Forgets all entries. */
  clear(): void {
    this.entries.clear();
  }

  private longestHit(prompt: Prompt, marks: readonly { at: number }[], now: number): number | undefined {
    for (const { at } of marks.toReversed()) {
      for (let place = at; place > at - LOOK_BACK && place >= 0; place--) {
        const entry = this.entries.get(prompt.blocks[place]?.word ?? '');
        if (entry !== undefined && entry.until > now) return place;
      }
    }
    return undefined;
  }

  private refresh(word: string, begun: number): void {
    const entry = this.entries.get(word);
    if (entry !== undefined) this.write(word, entry.ttl, begun);
  }

  /** An entry's time counts from the beginning of the request that wrote or read it. */
  private write(word: string, ttl: Ttl, begun: number): void {
    // The newest are last, so that the oldest go first.
    this.entries.delete(word);
    this.entries.set(word, { ttl, until: begun + TTL_MS[ttl] });
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= MOST_ENTRIES) break;
      this.entries.delete(oldest);
    }
  }
}

function tokensAt(prompt: Prompt, at: number): number {
  return prompt.blocks[at]?.tokens ?? 0;
}
