/** A request of the Messages API, as far as the stand-in cares. */
export interface MessagesRequest {
  readonly model: string;
  readonly system: unknown;
  readonly messages: readonly { role: string; content: unknown }[];
  readonly stream: boolean;
  readonly max_tokens: number;
  /** As they were sent; undefined when they were not. */
  readonly thinking?: unknown;
  readonly output_config?: unknown;
  readonly lastUserText: string;
  readonly inputTokens: number;
}

/** What the real API answers with 400 `invalid_request_error`. */
export class InvalidRequest extends Error {}

/** Checks a body as the real API does. @throws InvalidRequest */
export function readMessagesRequest(body: unknown): MessagesRequest {
  const { model, messages, max_tokens, stream, system, thinking, output_config } = (body ?? {}) as Record<
    string,
    unknown
  >;
  if (typeof model !== 'string' || model === '') throw new InvalidRequest('model: Field required');
  if (typeof max_tokens !== 'number' || max_tokens < 1) throw new InvalidRequest('max_tokens: Field required');
  if (!Array.isArray(messages) || messages.length === 0)
    throw new InvalidRequest('messages: at least one message is required');
  const list = messages as { role: string; content: unknown }[];
  list.forEach(({ role, content }, index) => {
    if (role !== 'user' && role !== 'assistant')
      throw new InvalidRequest(`messages.${index}.role: must be user or assistant`);
    if (textOf(content).trim() === '') throw new InvalidRequest(`messages.${index}: content must be non-empty`);
  });
  if (list[0]?.role !== 'user') throw new InvalidRequest('messages: first message must use the user role');
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

/** As a rule of thumb. */
const CHARACTERS_A_TOKEN = 4;

export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(text.length / CHARACTERS_A_TOKEN));
}

/** As much of a text as so many tokens hold. */
export function withinTokens(text: string, tokens: number): string {
  return text.slice(0, tokens * CHARACTERS_A_TOKEN);
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((block: { text?: unknown }) => (typeof block.text === 'string' ? block.text : '')).join('');
}
