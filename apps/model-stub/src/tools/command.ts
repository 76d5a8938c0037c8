import { objectAt } from './json-in-text.js';

/** The ways in which a user can ask for an odd call. Real models make each of them, too. */
export type Manner = 'with wrong input' | 'cut off' | 'with a pause' | 'anyway';

/** A call that the user asks for. */
export interface AskedCall {
  readonly name: string;
  /** The input in the user's words; undefined: the stand-in makes one up. */
  readonly input: Readonly<Record<string, unknown>> | undefined;
  readonly manner: Manner | undefined;
}

/** The user's request: calls, step by step; the list of tools; or something that cannot be done, for this reason. */
export type Command =
  | { readonly type: 'calls'; readonly steps: readonly (readonly AskedCall[])[] }
  | { readonly type: 'list' }
  | { readonly type: 'fault'; readonly reason: string };

/** More calls than any test needs, and few enough that a text cannot keep the stand-in busy. */
const MOST_CALLS = 200;

const LIST = /\b(?:which|what)\s+tools\s+(?:do you have|can you use|have you|are there)\b|\blist\s+your\s+tools\b/iu;
const USE = /\buse\s+(?:the\s+)?(?=[`\w])/giu;
/** The words before a command that begins the text. */
const POLITE = /^\W*(?:(?:please|now|then|can you|could you)\s+)*$/iu;
const NAME = /(`?)([\w-]{1,128})\1(?:\s+tool\b)?/uy;
const INPUT = /\s*(?:with\s+)?(?=\{)/iuy;
const MANNER = /[\s,]+(with wrong input|cut off|with a pause|anyway)\b/iuy;
const TIMES = /\s+(\d{1,3})\s+times\b/iuy;
const THEN = /[\s,.;]+(?:and\s+)?then\s+(use\s+)?(?:the\s+)?(?=[`\w])/iuy;
const AND = /(?:\s*,\s*(?:and\s+)?|\s+and\s+)(use\s+)?(?:the\s+)?(?=[`\w])/iuy;
const END = /\W*$/uy;

/** Reads a command of the forms in docs/stand-in.md; undefined: the text is none. @param names the names of the tools that are offered */
export function readCommand(text: string, names: ReadonlySet<string>): Command | undefined {
  for (const use of text.matchAll(USE)) {
    const begins = POLITE.test(text.slice(0, use.index));
    const command = new Reader(text, use.index + use[0].length, names).read(begins);
    if (command !== undefined) return command;
  }
  return LIST.test(text) ? { type: 'list' } : undefined;
}

class Reader {
  constructor(
    private readonly text: string,
    private at: number,
    private readonly names: ReadonlySet<string>,
  ) {}

  /** @param begins whether the text begins with the command. Only then may its first name be unknown. */
  read(begins: boolean): Command | undefined {
    const steps: AskedCall[][] = [];
    const unknown = new Set<string>();
    let calls = 0;
    let then = true;
    let use = begins;
    for (;;) {
      const before = this.at;
      const name = this.name(use);
      if (name === undefined || (steps.length === 0 && !begins && !this.names.has(name))) {
        this.at = before;
        break;
      }
      const input = this.input();
      if (input === null) return { type: 'fault', reason: `What follows \`${name}\` is not a JSON object.` };
      const manner = this.take(MANNER)?.[1]?.toLowerCase() as Manner | undefined;
      const times = Number(this.take(TIMES)?.[1] ?? 1);
      if (!this.names.has(name) && manner !== 'anyway') unknown.add(name);
      calls += times;
      if (calls > MOST_CALLS) return { type: 'fault', reason: `I make at most ${MOST_CALLS} calls.` };
      const asked = Array.from({ length: times }, (): AskedCall => ({ name, input, manner }));
      if (then) steps.push(asked);
      else steps.at(-1)?.push(...asked);
      const separator = this.take(THEN) ?? this.take(AND);
      if (separator === undefined) break;
      then = /then/iu.test(separator[0]);
      use = separator[1] !== undefined;
    }
    if (steps.length === 0) return undefined;
    if (unknown.size === 0) return { type: 'calls', steps };
    return { type: 'fault', reason: `I have no tool named ${[...unknown].map((name) => `\`${name}\``).join(' or ')}.` };
  }

  /** A tool's name. A word that is no offered name counts if it looks like a name: "use find_order and tell me" names one tool. */
  private name(afterUse: boolean): string | undefined {
    const [, quote, name = ''] = this.take(NAME) ?? [];
    if (name === '' || this.names.has(name)) return name === '' ? undefined : name;
    if (quote === '`' || /[_\d]/u.test(name)) return name;
    return afterUse && [INPUT, MANNER, THEN, END].some((next) => this.sees(next)) ? name : undefined;
  }

  /** Undefined: there is no input; null: it is no JSON. */
  private input(): Record<string, unknown> | undefined | null {
    if (this.take(INPUT) === undefined) return undefined;
    const { value, end } = objectAt(this.text, this.at);
    this.at = end;
    return value ?? null;
  }

  private take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text) ?? undefined;
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }

  private sees(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    return pattern.test(this.text);
  }
}
