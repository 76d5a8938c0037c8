import { invalid } from '../http.js';
import { isObject } from '../is-object.js';

/** The fields a request may have. */
const FIELDS = new Set(
  (
    'model messages max_tokens cache_control container diagnostics inference_geo metadata output_config service_tier ' +
    'speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p'
  ).split(' '),
);

const MOST_MESSAGES = 100_000;

type Check = [holds: (value: unknown) => boolean, otherwise: string];

const LIST: Check = [Array.isArray, 'Input should be a valid list'];
const OBJECT: Check = [isObject, 'Input should be an object'];
const NUMBER: Check = [(value) => typeof value === 'number', 'Input should be a valid number'];
const INTEGER: Check = [Number.isInteger, 'Input should be a valid integer'];

/** The types of the fields that may be left out. Null counts as left out. */
const TYPES: Readonly<Record<string, Check>> = {
  cache_control: OBJECT,
  metadata: OBJECT,
  output_config: OBJECT,
  thinking: OBJECT,
  tool_choice: OBJECT,
  tools: LIST,
  stop_sequences: LIST,
  temperature: NUMBER,
  top_p: NUMBER,
  top_k: INTEGER,
  stream: [(value) => typeof value === 'boolean', 'Input should be a valid boolean'],
  system: [(value) => typeof value === 'string' || Array.isArray(value), 'Input should be a valid list'],
};

/** Checks which fields a request has, and their types. @throws Refusal */
export function checkShape(body: unknown): void {
  if (!isObject(body)) throw invalid('Input should be an object');
  const fields = body;
  const { model, max_tokens, messages } = fields;
  if (model === undefined) throw invalid('model: Field required');
  if (typeof model !== 'string') throw invalid('model: Input should be a valid string');
  if (model === '') throw invalid('model: String should have at least 1 character');
  if (max_tokens === undefined) throw invalid('max_tokens: Field required');
  if (!Number.isInteger(max_tokens)) throw invalid('max_tokens: Input should be a valid integer');
  // 0 is valid: such a call fills the cache and gets no text.
  if ((max_tokens as number) < 0) throw invalid('max_tokens: Input should be greater than or equal to 0');
  if (messages === undefined) throw invalid('messages: Field required');
  if (!Array.isArray(messages)) throw invalid('messages: Input should be a valid list');
  if (messages.length === 0) throw invalid('messages: at least one message is required');
  if (messages.length > MOST_MESSAGES) throw invalid(`messages: at most ${MOST_MESSAGES} messages are allowed`);
  for (const [name, [holds, otherwise]] of Object.entries(TYPES)) {
    const value = fields[name];
    if (value !== undefined && value !== null && !holds(value)) throw invalid(`${name}: ${otherwise}`);
  }
  const extra = Object.keys(fields).find((name) => !FIELDS.has(name));
  if (extra !== undefined) throw invalid(`${extra}: Extra inputs are not permitted`);
}
