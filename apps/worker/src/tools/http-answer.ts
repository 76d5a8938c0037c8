import { TextDecoder } from 'node:util';
import { AnswerFault } from './answer-fault.js';
import type { ToolAnswer } from './post.js';
import { boundedResult, type ToolResult } from './tool-result.js';

/** How much of a refusal's text the model gets, in characters. */
const LONGEST_REFUSAL = 2_000;

/** Types of texts that are no `text/…`. */
const TEXTS = /^application\/(?:xml|yaml|x-yaml|jsonl|x-ndjson|x-www-form-urlencoded|[\w.-]+\+(?:xml|yaml))$/;
const JSONS = /^(?:application|text)\/(?:json|[\w.-]+\+json)$/;
const PAGES = new Set(['text/html', 'application/xhtml+xml']);

/**
 * The result in an answer with a status of success. The body is the result: JSON as its own text, or text. A JSON object with `content`, and
 * nothing else but `is_error`, says both itself. A body that was too long to be read whole is passed on as text, cut.
 *
 * @throws AnswerFault if the body is neither JSON nor text, or not what its type says
 */
export function resultOf(answer: ToolAnswer, maxBytes: number): ToolResult {
  if (answer.body.byteLength === 0) return { content: '(no content)', isError: false };
  const text = textOf(answer);
  if (answer.isPart || !JSONS.test(typeOf(answer))) return nonEmpty(text, false, maxBytes, answer.isPart);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AnswerFault('The tool’s answer says that it is JSON, and is not.');
  }
  const said = saidResult(value);
  return said === undefined
    ? boundedResult(text, false, maxBytes)
    : nonEmpty(said.content ?? text, said.isError, maxBytes);
}

/** The result for an answer with a status of 400 to 499: the status, and what the body says. */
export function refusalOf(answer: ToolAnswer, maxBytes: number): ToolResult {
  let words = '';
  try {
    words = textOf(answer).trim().slice(0, LONGEST_REFUSAL);
  } catch {
    // A page in HTML, for instance, says nothing that the model could use.
  }
  return boundedResult(`The tool answered ${answer.status}${words === '' ? '.' : `: ${words}`}`, true, maxBytes);
}

/** Content and error of a JSON object that says them itself; a content that is no string becomes JSON. */
function saidResult(value: unknown): { content: string | undefined; isError: boolean } | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { content, is_error: isError = false, ...others } = value as Record<string, unknown>;
  if (content === undefined || typeof isError !== 'boolean' || Object.keys(others).length > 0) return undefined;
  return { content: typeof content === 'string' ? content : asJson(content), isError };
}

function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // Nested so deeply that V8 has no stack for it, though it could parse it. The body's own text serves as well.
    return undefined;
  }
}

function nonEmpty(text: string, isError: boolean, maxBytes: number, isPart = false): ToolResult {
  return boundedResult(text === '' ? '(no content)' : text, isError, maxBytes, isPart);
}

/** @throws AnswerFault if the body is no text, or in an unknown charset */
function textOf(answer: ToolAnswer): string {
  const type = typeOf(answer);
  const isText = type.startsWith('text/') || TEXTS.test(type) || JSONS.test(type);
  if (!isText || PAGES.has(type)) {
    // What a server sends is shown only if it looks like a type.
    const shown = /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.test(type) ? type : 'something';
    throw new AnswerFault(`The tool answered with ${shown}, which is neither JSON nor plain text.`);
  }
  return decoderOf(answer).decode(answer.body, { stream: answer.isPart });
}

/** The type without its parameters. An answer that names none is taken for text. */
function typeOf({ headers }: ToolAnswer): string {
  return headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() || 'text/plain';
}

function decoderOf({ headers }: ToolAnswer): TextDecoder {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(charset);
  } catch {
    throw new AnswerFault('The tool answered in a charset that is not known.');
  }
}
