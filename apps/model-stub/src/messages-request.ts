import { invalid } from './http.js';
import { tokensOf } from './tokens.js';

/** A request of the Messages API, as far as the stand-in cares. */
export interface MessagesRequest {
  readonly model: string;
  readonly system: unknown;
  readonly messages: readonly { role: string; content: unknown }[];
  readonly stream: boolean;
  readonly max_tokens: number;
  /** What was asked beside the words, as it was sent. */
  readonly thinking: unknown;
  readonly output_config: unknown;
  readonly lastUserText: string;
  readonly inputTokens: number;
}

/** Checks a body as the real API does. @throws Refusal */
export function readMessagesRequest(body: unknown): MessagesRequest {
  const { model, messages, max_tokens, stream, system, thinking, output_config } = (body ?? {}) as Record<
    string,
    unknown
  >;
  if (typeof model !== 'string' || model === '') throw invalid('model: Field required');
  if (typeof max_tokens !== 'number' || max_tokens < 1) throw invalid('max_tokens: Field required');
  if (!Array.isArray(messages) || messages.length === 0) throw invalid('messages: at least one message is required');
  const list = messages as { role: string; content: unknown }[];
  list.forEach(({ role, content }, index) => {
    if (role !== 'user' && role !== 'assistant') throw invalid(`messages.${index}.role: must be user or assistant`);
    if (textOf(content).trim() === '') throw invalid(`messages.${index}: content must be non-empty`);
  });
  if (list[0]?.role !== 'user') throw invalid('messages: first message must use the user role');
  const text = list.map(({ content }) => textOf(content)).join('') + textOf(system);
  return {
    model,
    system,
    messages: list,
    stream: stream === true,
    max_tokens,
    thinking,
    output_config,
    lastUserText: textOf(list.findLast(({ role }) => role === 'user')?.content),
    inputTokens: tokensOf(text),
  };
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((block: { text?: unknown }) => (typeof block.text === 'string' ? block.text : '')).join('');
}
