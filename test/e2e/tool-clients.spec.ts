import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asking } from '../support/hard-turn.js';
import { linesUnder } from '../support/page-lines.js';
import { said, showReasoning, thoughts } from '../support/reasoning.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool, giveTools, httpTool, startTools, type Tools } from '../support/tools.js';

const PAGE = 'docs/clients.md';
const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;
const run = promisify(execFile);

/** `useChat` without React: the same class, with a state that nobody renders. */
const USE_CHAT = `
  import { AbstractChat } from 'ai';
  const useChat = (init) => new (class extends AbstractChat {
    constructor() {
      const state = { status: 'ready', error: undefined, messages: [], snapshot: structuredClone };
      state.pushMessage = (message) => void (state.messages = [...state.messages, message]);
      state.popMessage = () => void (state.messages = state.messages.slice(0, -1));
      state.replaceMessage = (index, message) =>
        void (state.messages = state.messages.map((one, n) => (n === index ? structuredClone(message) : one)));
      super({ ...init, state });
    }
  })();`;

/** A page that presses the button of each approval, until the reply is there. */
const PRESS = `
  void page.sendMessage({ text: '¿Cómo reinstalo el software?' });
  for (let metadata; metadata?.job_status !== 'succeeded'; metadata = page.lastMessage?.metadata) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (page.error) throw page.error;
    for (const part of page.lastMessage?.parts ?? []) {
      if (page.status === 'ready' && part.state === 'approval-requested') {
        await decide(part, confirm(part.toolName + ' ' + JSON.stringify(part.input) + '?'));
      }
    }
  }
  show(page.lastMessage.parts.map(({ text = '' }) => text).join(''));`;

describe('the examples of docs/clients.md answer tool calls, up to the reply', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date'),
    ]);
  });
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  const answer = async (user: string, headings: readonly string[], before = '', after = ''): Promise<void> => {
    const client = stack.as(user);
    const { id: chat } = await client.chat();
    const lines = await Promise.all(headings.map((heading) => linesUnder(PAGE, heading)));
    const program = `${before}
      const [service, token, chat] = ${JSON.stringify([stack.api.url, tokenFor(user), chat])};
      const asked = [];
      let shown;
      const show = (text) => (shown = text);
      const confirm = (question) => asked.push(question) > 0;
      const askForDate = async ({ order_id = null }) => (asked.push(order_id), '2026-12-01');
      ${lines.join('\n')}
      ${after}
      console.log(JSON.stringify({ asked, shown }));`;
    const question = 'use refund_order {"order_id":"1"} and pick_date {"order_id":"2"}';
    const { stdout, stderr } = await run(
      process.execPath,
      ['--input-type=module', '--eval', asking(question)(program)],
      { env: { PATH: process.env['PATH'] }, timeout: 60_000 },
    );
    const { asked, shown } = JSON.parse(stdout) as { asked: string[]; shown: string };
    const { data } = (await client.get(`/api/v1/chats/${chat}/messages`)).body;
    expect(asked.sort()).toEqual(['2', 'refund_order {"order_id":"1"}?']);
    expect([shown, stderr]).toEqual([data.at(-1).content, '']);
    expect(shown).toMatch(/refund_order done[^]*2026-12-01/);
    expect(data.map(({ role }: { role: string }) => role)).toEqual(['system', 'user', 'assistant']);
  };

  it('fetch, with reasoning and sources', async () => {
    await showReasoning(stack, 'billing');
    const text = '¿Cómo reinstalo el software?';
    const citation = { type: 'web_search_result_location', url: 'https://a.test/1', title: 'One' };
    await stack.model.script(text, {
      blocks: [thoughts('I think it over.', 60), { ...said('So it is.'), citations: [citation] }],
      piece_delay_ms: 60,
    });
    const { id: chat } = await stack.as('dan').chat('billing');
    const lines = await Promise.all(
      ['In JavaScript, before all others', 'Reasoning and sources', '`fetch`'].map((heading) =>
        linesUnder(PAGE, heading),
      ),
    );
    const program = `
      const [service, token, chat] = ${JSON.stringify([stack.api.url, tokenFor('dan'), chat])};
      const seen = [];
      const show = () => seen.push(reasoning);
      ${lines.join('\n')}
      console.log(JSON.stringify({ seen, text, reasoning, sources: [...sources.values()] }));`;
    const env = { PATH: process.env['PATH'] };
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
      env,
      timeout: 60_000,
    });
    const { seen, ...shown } = JSON.parse(stdout);
    expect(shown).toEqual({
      text: 'So it is.',
      reasoning: 'I think it over.',
      sources: [{ type: 'source', url: 'https://a.test/1', title: 'One' }],
    });
    expect(seen[0]).toBe('I think it over.');
  });

  it('the typed client', () => answer('ana', ['Tools']));
  it('useChat', () => answer('ben', ['Tools with `useChat`'], USE_CHAT, PRESS));
  it('fetch', () => answer('cyd', ['In JavaScript, before all others', 'Tools with another client', '`fetch`']));
});
