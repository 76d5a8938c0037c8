import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Rejoinder } from '@rejoinder/client';
import {
  hasToolAnswers,
  RejoinderChatTransport,
  type RejoinderUIMessage,
  RestartError,
  toUIMessages,
} from '@rejoinder/client/ai-sdk';
import { faults, Page } from '../support/chat-page.js';
import { said, showReasoning, thoughts, words } from '../support/reasoning.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { giveTools, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

const cited = (text: string, ...urls: string[]): object => ({
  ...said(text),
  citations: urls.map((url) => ({ type: 'web_search_result_location', url, title: 'A page' })),
});

describe('useChat, with reasoning and sources', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
    ]);
    await showReasoning(stack, 'support');
  });
  afterEach(() => expect(faults.splice(0)).toEqual([]));
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  const open = async (user: string) => {
    const client = new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user), onRetry: () => undefined });
    const { id } = await client.openChat('support');
    const transport = new RejoinderChatTransport({ client });
    return { client, id, page: () => new Page(transport, { id, sendAutomaticallyWhen: hasToolAnswers }), transport };
  };
  type Opened = Awaited<ReturnType<typeof open>>;
  const typesOf = (page: Page): string[] => page.lastMessage?.parts.map(({ type }) => type) ?? [];
  const reasoningOf = (page: Page): string =>
    (page.lastMessage?.parts ?? []).map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
  /** The page shows exactly what it would show after a reload. */
  const showsWhatIsKept = async (page: Page, { client, id }: Opened): Promise<void> => {
    const [expected] = toUIMessages((await client.listMessages(id)).data.slice(-1)) as [RejoinderUIMessage];
    const plain = (message: unknown): object => JSON.parse(JSON.stringify(message)) as object;
    expect(typesOf(page)).toEqual(expected.parts.map(({ type }) => type));
    expect(plain(page.lastMessage)).toMatchObject(plain({ parts: expected.parts, id: expected.id }));
  };

  it('shows reasoning while the model thinks, ends it when the text begins, and shows sources where they are cited', async () => {
    const ana = await open('ana');
    await stack.model.script('a riddle', {
      blocks: [
        thoughts(words(20), 50),
        cited('It is 42, ', 'https://a.test/1', 'javascript:x'),
        cited('they say.', 'https://a.test/1', 'https://a.test/2'),
      ],
      piece_delay_ms: 60,
    });
    const page = ana.page();
    const seen: string[] = [];
    const sent = page.sendMessage({ text: 'a riddle' });
    await until(async () => {
      const states = page.lastMessage?.role === 'assistant' ? page.lastMessage.parts : [];
      const now = states.map((part) => `${part.type}${'state' in part ? ` ${part.state}` : ''}`).join(', ');
      if (now !== seen.at(-1)) seen.push(now);
      return page.status === 'ready' && page.text !== '';
    }, 'the reply');
    await sent;
    expect(seen).toContain('reasoning streaming');
    expect(seen).toContain('reasoning done, text streaming');
    expect(seen).toContain('reasoning done, text streaming, source-url');
    expect(typesOf(page)).toEqual(['reasoning', 'text', 'source-url', 'source-url']);
    expect(reasoningOf(page)).toBe(words(20));
    await showsWhatIsKept(page, ana);
  });

  it('shows each step with its reasoning before its calls, live, resumed in mid-turn, and after a reload', async () => {
    const ben = await open('ben');
    const page = ben.page();
    await page.sendMessage({ text: 'use find_order then use refund_order' });
    await until(async () => page.lastMessage?.metadata?.job_status === 'requires_action', 'the question');
    const early = ['reasoning', 'text', 'dynamic-tool', 'step-start', 'reasoning', 'dynamic-tool'];
    expect(typesOf(page)).toEqual(early);
    const other = ben.page();
    await other.resumeStream();
    // Earlier calls stand behind the text of their step, not behind all text.
    expect(typesOf(other)).toEqual(early);
    expect(reasoningOf(other)).toBe(reasoningOf(page));
    const asked = page.lastMessage?.parts.at(-1) as { toolCallId: string };
    await page.addToolApprovalResponse({ id: asked.toolCallId, approved: true });
    await until(
      async () => page.status === 'ready' && page.lastMessage?.metadata?.job_status === 'succeeded',
      'the end',
    );
    expect(typesOf(page)).toEqual([...early, 'step-start', 'reasoning', 'text']);
    await showsWhatIsKept(page, ben);
    ben.transport.expectReply({ id: ben.id, unfinished_job_id: page.lastMessage?.id ?? '' });
    const later = ben.page();
    await later.resumeStream();
    await showsWhatIsKept(later, ben);
  });

  it('starts over when the thoughts that it shows are lost, and then shows what is kept', async () => {
    const cyd = await open('cyd');
    await stack.model.script('lost thoughts', { blocks: [thoughts(words(600, 'lost'), 50), said('x')] }, 1);
    await stack.model.script('lost thoughts', { blocks: [thoughts('Again.'), said('Here.')] });
    const page = cyd.page();
    const sent = page.sendMessage({ text: 'lost thoughts' });
    await until(async () => reasoningOf(page).includes('lost 5'), 'its thoughts');
    await stack.workers.pop()?.kill();
    stack.workers.push(await stack.startWorker());
    await sent;
    expect([page.status, page.error]).toEqual(['error', expect.any(RestartError)]);
    await page.resumeStream();
    expect([page.status, reasoningOf(page)]).toEqual(['ready', 'Again.']);
    await showsWhatIsKept(page, cyd);
  });
});
