export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** How many answers are kept, and how many characters of JSON in all. The least recently used answer goes first. */
const MOST_ANSWERS = 100;
const MOST_CHARACTERS = 16 * 1024 * 1024;

/** A longer answer is not kept, in characters of its JSON. */
const LONGEST = MOST_CHARACTERS / 4;

/** An answer that is kept. */
export interface Kept {
  readonly etag: string;
  readonly answer: Answer<object>;
  /** The length of its JSON. */
  readonly characters: number;
}

/** Answers that have an `ETag`, by their address, so that an unchanged one costs a `304`; and the tags of all bodies that were answered. */
export class KeptAnswers {
  private readonly kept = new Map<string, Kept>();
  private characters = 0;
  private readonly etags = new WeakMap<object, string>();

  get(url: string): Kept | undefined {
    return this.kept.get(url);
  }

  /** Puts an answer last in the order of removal: it is new, or was used again. */
  put(url: string, kept: Kept): void {
    this.giveUp(url);
    this.kept.set(url, kept);
    this.characters += kept.characters;
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST_ANSWERS && this.characters <= MOST_CHARACTERS) return;
      this.giveUp(oldest);
    }
  }

  /** Notes the tag of an answer's body. @returns it; undefined: the answer has none */
  tag({ headers, body }: Answer<object>): string | undefined {
    const etag = strongTag(headers.get('etag'));
    if (etag !== undefined) this.etags.set(body, etag);
    return etag;
  }

  /** Keeps an answer, if it has a tag and is not too long. Its body is frozen then, since many may hold it. */
  keep(url: string, answer: Answer<object>, characters: number): void {
    const etag = this.tag(answer);
    if (etag === undefined || characters > LONGEST) return;
    freeze(answer.body);
    this.put(url, { etag, answer, characters });
  }

  /** The tag of a body that was answered; undefined: it is not an answer's body, or had none. */
  etagOf(body: object): string | undefined {
    return this.etags.get(body);
  }

  private giveUp(url: string): void {
    this.characters -= this.kept.get(url)?.characters ?? 0;
    this.kept.delete(url);
  }
}

/**
 * The service's own tag, which is strong. A proxy that compresses an answer makes it weak (RFC 9110, section 8.8.1), and `If-Match` never
 * takes a weak one. The resource that the service compares is the same, however its bytes were packed.
 */
function strongTag(etag: string | null): string | undefined {
  return etag?.replace(/^W\//, '');
}

function freeze(json: unknown): void {
  if (typeof json !== 'object' || json === null) return;
  Object.values(json).forEach(freeze);
  Object.freeze(json);
}
