import { blocksOf, textIn } from './turns.js';

/** The parts of a Messages API request that the stand-in uses. */
export interface MessagesRequest {
  readonly model: string;
  readonly system: unknown;
  readonly messages: readonly { role: string; content: unknown }[];
  readonly stream: boolean;
  readonly max_tokens: number;
  /** These values are as the client sent them. */
  readonly thinking: unknown;
  readonly output_config: unknown;
  readonly stop_sequences: unknown;
  readonly tools: unknown;
  readonly tool_choice: unknown;
  readonly cache_control: unknown;
  readonly metadata: unknown;
  /** The text of the last user message with text. */
  readonly lastUserText: string;
}

/** Reads a request of any shape, so that it can be recorded. Parts of the wrong shape are empty. */
export function readMessagesRequest(body: unknown): MessagesRequest {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { model, system, stream, max_tokens: most, messages } = fields;
  const list = (Array.isArray(messages) ? messages : []).filter(
    (one): one is { role: string; content: unknown } => typeof one === 'object' && one !== null,
  );
  const userTexts = list.filter(({ role }) => role === 'user').map(({ content }) => wordsIn(content));
  return {
    model: typeof model === 'string' ? model : '',
    system,
    messages: list,
    stream: stream === true,
    max_tokens: typeof most === 'number' ? most : 0,
    thinking: fields['thinking'],
    output_config: fields['output_config'],
    stop_sequences: fields['stop_sequences'],
    tools: fields['tools'],
    tool_choice: fields['tool_choice'],
    cache_control: fields['cache_control'],
    metadata: fields['metadata'],
    lastUserText: userTexts.findLast((text) => text !== '') ?? '',
  };
}

function wordsIn(content: unknown): string {
  return blocksOf(content)
    .filter((block) => (block as unknown) !== null && block.type === 'text')
    .map(textIn)
    .join('');
}
