import { BadLine, type Fault } from './bad-line.js';
import { type Stack, tokenFor } from './stack.js';

/** The turn of the lines in docs/clients.md. */
export const QUESTION = '¿Cómo reinstalo el software?';

/** The reply. It is longer than the text before the last cut, and its first attempt breaks off. */
const PIECES = Array.from({ length: 100 }, (_, n) => `pieza ${n} 😀, "con comillas" y\n\ndata: saltos — `);
const LOST = PIECES.slice(0, 60).map((piece) => piece.toUpperCase());
const TIMING = { piece_delay_ms: 25 };

/** The values that the lines of docs/clients.md use. */
export interface Setting {
  readonly service: string;
  readonly token: string;
  readonly chat: string;
  /** The lines, with this turn's question. */
  asked(lines: string): string;
}

/** Puts another question into the lines of docs/clients.md. */
export function asking(question: string): Setting['asked'] {
  return (lines) => lines.replaceAll(QUESTION, question);
}

/** A turn whose first attempt the model breaks off, and whose stream is cut, too. */
export interface HardTurn extends Setting {
  readonly line: BadLine;
  readonly reply: string;
  /** Faults of the texts that a client has shown one after the other; empty: none. */
  faultsOf(shown: readonly string[]): Promise<string[]>;
}

/** Prepares a hard turn for a client of this name. */
export async function hardTurn(
  stack: Stack,
  name: string,
  faultOf: (n: number) => Fault | undefined,
): Promise<HardTurn> {
  const question = `${QUESTION} (${name})`;
  await stack.model.script(question, { pieces: LOST, ...TIMING, cut_after: LOST.length }, 1);
  await stack.model.script(question, { pieces: PIECES, ...TIMING });
  const user = stack.as(name);
  const { id: chat } = await user.chat();
  const line = await BadLine.to(stack.api.url, (n) => ({ beats: true, ...faultOf(n) }));
  const faultsOf = async (shown: readonly string[]): Promise<string[]> => {
    const { data } = (await user.get(`/api/v1/chats/${chat}/messages`)).body;
    const calls = await stack.model.calls(question);
    const whole = PIECES.join('');
    const beginnings = [whole, LOST.join('')];
    return [
      ...(data.length === 3 && data[2].content === whole ? [] : [`the chat has ${data.length} messages`]),
      ...(calls.length === 2 ? [] : [`the model was called ${calls.length} times`]),
      ...(shown.at(-1) === whole ? [] : [`shown at last: ${brief(shown.at(-1))}`]),
      ...(shown.includes('') && shown.length > 3 ? [] : [`only ${shown.length} texts were shown, or no reset`]),
      ...shown.filter((text) => !beginnings.some((one) => one.startsWith(text))).map((text) => `shown: ${brief(text)}`),
    ].slice(0, 5);
  };
  return {
    token: tokenFor(name),
    chat,
    service: line.url,
    line,
    reply: PIECES.join(''),
    asked: asking(question),
    faultsOf,
  };
}

/** A text's length, beginning and end. */
function brief(text = ''): string {
  return `${text.length}: ${JSON.stringify(text.slice(0, 60))} … ${JSON.stringify(text.slice(-60))}`;
}
