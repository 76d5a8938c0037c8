import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type McpParts, McpTestServer } from '../support/mcp-server.js';
import { type Stack, startStack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { assistantsWith, TOOLS_SECRET } from '../support/tools.js';

const FORTY = Array.from({ length: 40 }, (_, n) => ({
  name: `look_up_${n}`,
  description: `Looks up the ${n}th thing.`,
  inputSchema: { type: 'object', properties: { q: { type: 'string' } }, required: ['q'] },
}));

describe('an assistant with forty tools of an MCP server', () => {
  let server: McpTestServer;
  let old: McpTestServer;
  let stack: Stack;
  const found = ({ params }: { params: any }): object => ({
    content: [{ type: 'text', text: `${params.name} found ${params.arguments.q}` }],
  });
  const parts: McpParts = { tools: FORTY, call: found };
  beforeAll(async () => {
    server = await McpTestServer.current(parts);
    old = await McpTestServer.earlier({
      tools: [{ ...FORTY[0], name: 'remember' }],
      call: ({ params }) => ({ content: [{ type: 'text', text: `remembered ${params.arguments.q}` }] }),
    });
    const ASSISTANTS_FILE = await assistantsWith(
      [],
      { mcp_servers: ['docs', 'old'] },
      { docs: { url: server.url, repeatable: true }, old: { url: old.url, approval: 'always' } },
    );
    stack = await startStack({ env: { TOOLS_SECRET, ASSISTANTS_FILE } });
  });
  afterAll(async () => {
    await stopSound(stack);
    await Promise.all([server.stop(), old.stop()]);
  });

  it('calls them in parallel and in steps, and those of a server of 2025 after an approval', async () => {
    const user = stack.as('ana');
    const chat = (await user.chat()).id;
    const text =
      'use docs_look_up_3 {"q":"three"} and docs_look_up_39 {"q":"last"} then use docs_look_up_7 {"q":"seven"}';
    const { status, body } = await user.turn(chat, text);
    expect(status).toBe(200);
    expect(body.assistant_message.content).toMatch(
      /look_up_3 found three[\s\S]*look_up_39 found last[\s\S]*look_up_7 found seven/,
    );
    const asked = await user.turn(chat, 'use old_remember {"q":"me"}');
    const [waiting] = asked.body.required_action.tool_calls;
    await user.patch(`/api/v1/jobs/${asked.body.id}/tool-calls/${waiting.id}`, { decision: 'approve' });
    expect((await user.finalJob(asked.body.id)).assistant_message?.content).toContain('remembered me');
  });

  it('keeps its tools if the server’s listing changes under a running turn', async () => {
    const user = stack.as('ben');
    parts.call = (called) => {
      // The first call of the turn changes the listing, and takes away the tool that the turn calls next.
      parts.tools = FORTY.slice(0, 2);
      if (!parts.tools.some(({ name }) => name === called.params.name)) throw new Error('There is no such tool.');
      return found(called);
    };
    const { status, body } = await user.turn(
      (await user.chat()).id,
      'use docs_look_up_1 {"q":"one"} then use docs_look_up_30 {"q":"thirty"} then use docs_look_up_0 {"q":"zero"}',
    );
    expect(status).toBe(200);
    const { data } = (await user.get(`/api/v1/jobs/${body.job_id}/tool-calls`)).body;
    expect(data.map(({ name, status: state }: { name: string; status: string }) => `${name} ${state}`)).toEqual([
      'docs_look_up_1 succeeded',
      'docs_look_up_30 failed',
      'docs_look_up_0 succeeded',
    ]);
    const calls = (await stack.model.allCalls()).filter(({ asked }) => asked.includes('"thirty"'));
    expect(calls.map(({ tools }) => (tools as unknown[]).length)).toEqual([41, 41, 41, 41]);
  });
});
