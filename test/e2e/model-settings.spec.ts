import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkBy } from '#tools/json-schema.js';
import type { SeenCall } from '../support/model-stub.js';
import { type Stack, startStack } from '../support/stack.js';
import { assistantsFile, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';

const SCHEMA = {
  type: 'object',
  properties: { kind: { enum: ['order', 'refund'] }, answer: { type: 'string' } },
  required: ['kind', 'answer'],
  additionalProperties: false,
};
const matches = checkBy(SCHEMA);

/** The assistants of the file, each with some settings of its model. */
const ASSISTANTS = (tools: Tools): Record<string, object> => ({
  plain: {},
  thoughtful: { thinking: 'adaptive', effort: 'xhigh', max_output_tokens: 20_000 },
  calm: { thinking: 'between_tools', effort: 'low' },
  formal: { output_schema: SCHEMA, effort: 'low' },
  short: { output_schema: SCHEMA, thinking: 'between_tools', max_output_tokens: 8 },
  stopped: { stop_sequences: ['END', '###'] },
  lasting: { cache_ttl: '1h' },
  hasty: { tools: [httpTool(tools, 'find_order', { repeatable: true })], max_steps: 2 },
  structured: { tools: [httpTool(tools, 'find_order', { repeatable: true })], output_schema: SCHEMA },
});

describe('the settings of an assistant’s model', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    tools = await startTools();
    stack = await startStack({ env: { ASSISTANTS_FILE: await assistantsFile(ASSISTANTS(tools)), TOOLS_SECRET } });
  });
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  let asked = 0;
  /** A turn of a new user. @returns its reply, and the calls of the model */
  const ask = async (assistant: string, words = 'hello') => {
    const question = `${words} (${++asked})`;
    const user = stack.as(`user ${asked}`);
    const { status, body } = await user.turn((await user.chat(assistant)).id, question);
    expect([assistant, status]).toEqual([assistant, 200]);
    const calls = (await stack.model.allCalls()).filter((call) => call.asked === question);
    return { reply: body.assistant_message, calls, call: calls[0] as SeenCall };
  };

  it('reach the request as they are; what is left out, the model decides', async () => {
    const { call: plain } = await ask('plain');
    expect(plain).toMatchObject({ model: 'claude-sonnet-5-5', max_tokens: 8_192 });
    for (const field of ['thinking', 'output_config', 'stop_sequences', 'tools', 'tool_choice', 'cache_control']) {
      expect(plain).not.toHaveProperty(field);
    }
    const { call: thoughtful } = await ask('thoughtful');
    expect(thoughtful).toMatchObject({
      thinking: { type: 'adaptive' },
      output_config: { effort: 'xhigh' },
      max_tokens: 20_000,
    });
    const { call: calm } = await ask('calm');
    expect([calm.thinking, calm.output_config]).toEqual([{ type: 'between_tools' }, { effort: 'low' }]);
    const { call: formal } = await ask('formal');
    expect(formal.output_config).toEqual({ effort: 'low', format: { type: 'json_schema', schema: SCHEMA } });
    const { call: lasting } = await ask('lasting');
    expect(lasting.system).toMatchObject([{ cache_control: { type: 'ephemeral', ttl: '1h' } }]);
  });

  it('with a schema make replies JSON, also after tool calls; a reply without room is incomplete', async () => {
    const { reply } = await ask('formal');
    expect(reply).toMatchObject({ status: 'complete', stop_reason: 'end_turn' });
    expect(matches(JSON.parse(reply.content as string))).toBeUndefined();
    const { reply: after, calls } = await ask('structured', 'use find_order');
    expect([calls.length, after.parts.length]).toEqual([2, 2]);
    expect(matches(JSON.parse(after.content as string))).toBeUndefined();
    const { reply: cut } = await ask('short');
    expect(cut).toMatchObject({ status: 'incomplete', stop_reason: 'max_tokens' });
    expect(() => JSON.parse(cut.content as string)).toThrow();
  });

  it('with stop sequences end a reply before the first of them: it is complete', async () => {
    await stack.model.script('until the end', { pieces: ['That is all. EN', 'D of it ###'] });
    const { reply, call } = await ask('stopped', 'until the end');
    expect(call.stop_sequences).toEqual(['END', '###']);
    expect(reply).toMatchObject({ content: 'That is all. ', status: 'complete', stop_reason: 'stop_sequence' });
  });

  it('let the model ask for tools in all steps but the last', async () => {
    const { reply, calls } = await ask('hasty', 'use find_order then use find_order then use find_order');
    expect(calls.map(({ tool_choice: choice }) => choice)).toEqual([undefined, { type: 'none' }]);
    expect(reply.status).toBe('complete');
  });
});
