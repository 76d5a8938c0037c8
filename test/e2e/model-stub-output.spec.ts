import Anthropic, { type APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkBy } from '#tools/json-schema.js';
import { ModelStub } from '../support/model-stub.js';

const object = (properties: Record<string, object>, more: object = {}): Record<string, unknown> => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});

/** Stop sequences, and replies by a schema: what the API refuses, and what it makes of the rest. */
describe('the output of the stand-in model', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const asking = (content: string, changes: object = {}): Anthropic.MessageCreateParamsNonStreaming => ({
    model: 'claude-sonnet-5-5',
    max_tokens: 2_000,
    messages: [{ role: 'user', content }],
    ...changes,
  });
  const ask = (content: string, changes?: object): Promise<Anthropic.Message> =>
    client.messages.create(asking(content, changes));
  const textOf = ({ content }: Anthropic.Message): string =>
    content.map((block) => (block.type === 'text' ? block.text : '')).join('');
  const refusal = async (changes: object): Promise<string> => {
    const error = await ask('hello', changes).then(
      () => undefined,
      (thrown: unknown) => thrown as APIError,
    );
    return error === undefined ? 'taken' : (error.error as { error: { message: string } }).error.message;
  };
  const inFormat = (schema: object): object => ({ output_config: { format: { type: 'json_schema', schema } } });

  it('ends at the first stop sequence, which is named and left out, streamed or not', async () => {
    await stub.script('count', { pieces: ['one tw', 'o three', ' four'] });
    const stop_sequences = ['four', 'two thr', 'five'];
    const whole = await ask('count', { stop_sequences });
    expect(whole).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'two thr' });
    expect(textOf(whole)).toBe('one ');
    const streamed = await client.messages.stream(asking('count', { stop_sequences })).finalMessage();
    expect(streamed).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'two thr' });
    expect(textOf(streamed)).toBe('one ');
    const other = await ask('count', { stop_sequences: ['five'] });
    expect([other.stop_reason, other.stop_sequence, textOf(other)]).toEqual(['end_turn', null, 'one two three four']);
    // Its own answers obey, too.
    const own = await ask('How do I reinstall it?', { stop_sequences: ['model]'] });
    expect([own.stop_reason, textOf(own)]).toEqual(['stop_sequence', '[Stand-in ']);
  });

  it('is JSON that suits the schema, which the room may cut', async () => {
    const schema = object(
      {
        answer: { type: 'string', description: 'In one sentence.' },
        kind: { enum: ['order', 'refund'] },
        parts: { type: 'array', items: { $ref: '#/$defs/part' }, minItems: 1 },
        maybe: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
      },
      { $defs: { part: object({ at: { type: 'string', format: 'date' } }) } },
    );
    const whole = await ask('Which order?', inFormat(schema));
    expect(whole.stop_reason).toBe('end_turn');
    expect(checkBy(schema)(JSON.parse(textOf(whole)))).toBeUndefined();
    const cut = await ask('Which order?', { ...inFormat(schema), max_tokens: 40 });
    expect(cut.stop_reason).toBe('max_tokens');
    expect(() => JSON.parse(textOf(cut))).toThrow();
  });

  it('is JSON only after its tool calls', async () => {
    const tools = [{ name: 'look', input_schema: { type: 'object' } }];
    const schema = object({ found: { type: 'boolean' } });
    const first = await ask('use look', { tools, ...inFormat(schema) });
    expect([first.stop_reason, textOf(first)]).toEqual(['tool_use', '']);
    const call = first.content.find(({ type }) => type === 'tool_use') as Anthropic.ToolUseBlock;
    const messages: Anthropic.MessageParam[] = [
      { role: 'user', content: 'use look' },
      { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'found' }] },
    ];
    const last = await ask('', { messages, tools, ...inFormat(schema) });
    expect(JSON.parse(textOf(last))).toEqual({ found: true });
  });

  it.each<[what: string, changes: object, message: string]>([
    [
      'a blank stop sequence',
      { stop_sequences: ['END', '\n'] },
      'stop_sequences: each stop sequence must contain non-whitespace',
    ],
    ['a number', { stop_sequences: [1] }, 'stop_sequences.0: Input should be a valid string'],
    [
      'another format',
      { output_config: { format: { type: 'json' } } },
      "output_config.format.type: Input should be 'json_schema'",
    ],
    [
      'no schema',
      { output_config: { format: { type: 'json_schema' } } },
      'output_config.format.schema: Input should be a valid dictionary',
    ],
    [
      'open objects',
      inFormat(object({ a: { type: 'object', properties: {} } })),
      "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
    ],
    [
      'a bound',
      inFormat(object({ a: { type: 'array', maxItems: 3 } })),
      "output_config.format.schema: For 'array' type, property 'maxItems' is not supported",
    ],
    [
      'bounds',
      inFormat(object({ a: { type: 'number', minimum: 3, maximum: 5 } })),
      "output_config.format.schema: For 'number' type, properties maximum, minimum are not supported",
    ],
    [
      'two items at least',
      inFormat(object({ a: { type: 'array', minItems: 2 } })),
      "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported",
    ],
    [
      'oneOf',
      inFormat(object({ a: { oneOf: [] } })),
      "output_config.format.schema: Schema type 'oneOf' is not supported",
    ],
    [
      'a circle',
      inFormat(
        object({}, { $defs: { a: object({ b: { $ref: '#/$defs/b' } }), b: object({ a: { $ref: '#/$defs/a' } }) } }),
      ),
      'output_config.format.schema: Circular reference detected in schema definitions: a -> b -> a.',
    ],
    [
      'too much that may be missing',
      inFormat(
        object(Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`p${n}`, { type: 'string' }])), {
          required: [],
        }),
      ),
      'Schemas contains too many optional parameters (25)',
    ],
    [
      'too many unions',
      inFormat(
        object(Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`p${n}`, { type: ['string', 'null'] }]))),
      ),
      'Schemas contains too many parameters with union types (17',
    ],
  ])('refuses %s', async (_, changes, message) => {
    expect((await refusal(changes)).slice(0, message.length)).toBe(message);
  });
});
