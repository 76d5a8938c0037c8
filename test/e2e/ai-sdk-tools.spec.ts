import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiError, Rejoinder } from '@rejoinder/client';
import {
  hasToolAnswers,
  RejoinderChatTransport,
  type RejoinderUIMessage,
  toUIMessages,
} from '@rejoinder/client/ai-sdk';
import {
  type ChatInit,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from 'ai';
import { faults, Page } from '../support/chat-page.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool, giveTools, httpTool, startTools, type Tools } from '../support/tools.js';
import { until } from '../support/until.js';

const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;

/** A part in one word, with what its tool gave. */
function brief(part: RejoinderUIMessage['parts'][number]): string {
  if (part.type !== 'dynamic-tool') return part.type;
  const given = part.state === 'output-available' ? JSON.stringify(part.output) : (part.errorText ?? '');
  return `${part.toolName} ${part.state} ${given}`.trim();
}

describe('useChat, with tools', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date', { result_schema: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d$' } }),
      clientTool('share_place', { approval: 'always' }),
    ]);
    tools.answer('find_order', () => ({ state: 'delivered' }));
  });
  afterEach(() => expect(faults.splice(0)).toEqual([]));
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  interface Opened {
    readonly client: Rejoinder;
    readonly id: string;
    readonly transport: RejoinderChatTransport;
    readonly page: (init?: Partial<ChatInit<RejoinderUIMessage>>) => Page;
    /** Each request for a stream. */
    readonly turns: string[];
  }
  const open = async (user: string): Promise<Opened> => {
    const turns: string[] = [];
    const client = new Rejoinder({
      baseUrl: stack.api.url,
      token: tokenFor(user),
      onRetry: () => undefined,
      fetch: (input, init) => {
        const { pathname } = new URL(input);
        if (/\/(turns|events)$/.test(pathname)) turns.push(pathname.split('/').at(-1) ?? '');
        return fetch(input, init);
      },
    });
    const { id } = await client.openChat('support');
    const transport = new RejoinderChatTransport({ client });
    const page = (init = {}): Page => new Page(transport, { id, sendAutomaticallyWhen: hasToolAnswers, ...init });
    return { client, id, transport, page, turns };
  };
  const partsOf = (page: Page): string[] => page.lastMessage?.parts.map(brief) ?? [];
  /** The page shows exactly what it would show after a reload. */
  const showsWhatIsKept = async (page: Page, { client, id }: Opened): Promise<void> => {
    const [, expected] = toUIMessages((await client.listMessages(id)).data.slice(-2));
    const plain = (message: unknown): unknown => JSON.parse(JSON.stringify(message));
    const { metadata, ...shown } = page.lastMessage as RejoinderUIMessage;
    expect(plain(shown)).toMatchObject(plain({ ...expected, metadata: undefined }) as object);
    expect(shown.parts).toHaveLength(expected?.parts.length as number);
    expect(metadata).toMatchObject({ job_status: 'succeeded' });
    expect([page.status, page.error]).toEqual(['ready', undefined]);
  };
  const waits = (page: Page): Promise<unknown> =>
    until(
      async () => page.status === 'ready' && page.lastMessage?.metadata?.job_status === 'requires_action',
      'a wait',
    );
  const ends = (page: Page): Promise<unknown> =>
    until(async () => page.status === 'ready' && page.lastMessage?.metadata?.job_status === 'succeeded', 'the end');
  const toolPart = (page: Page, name: string): { toolCallId: string; state: string } =>
    page.lastMessage?.parts.find((part) => part.type === 'dynamic-tool' && part.toolName === name) as never;

  it('shows the calls of a turn and their results, as after a reload', async () => {
    const ana = await open('ana');
    const page = ana.page();
    await page.sendMessage({ text: 'use find_order {"order_id":"1"} then use find_order' });
    expect(partsOf(page)).toEqual([
      'text',
      'find_order output-available {"state":"delivered"}',
      'step-start',
      'find_order output-available {"state":"delivered"}',
      'step-start',
      'text',
    ]);
    await showsWhatIsKept(page, ana);
    expect(ana.turns).toEqual(['turns']);
    // The next turn is a turn of its own.
    await page.sendMessage({ text: 'thank you' });
    expect(page.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
  });

  it('asks for an approval, and goes on with the same message when the page has answered', async () => {
    const ben = await open('ben');
    const page = ben.page();
    await page.sendMessage({ text: 'use refund_order and find_order' });
    await waits(page);
    expect(partsOf(page)).toContain('refund_order approval-requested');
    expect(partsOf(page)).toContain('find_order output-available {"state":"delivered"}');
    const { toolCallId } = toolPart(page, 'refund_order');
    await page.addToolApprovalResponse({ id: toolCallId, approved: true });
    await ends(page);
    expect(partsOf(page)).toContain('refund_order output-available "refund_order done"');
    expect(page.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
    await showsWhatIsKept(page, ben);
    // One stream for the turn, and one to go on.
    expect(ben.turns).toEqual(['turns', 'events']);

    await page.sendMessage({ text: 'use refund_order' });
    await waits(page);
    await page.addToolApprovalResponse({
      id: toolPart(page, 'refund_order').toolCallId,
      approved: false,
      reason: 'Too dear.',
    });
    await ends(page);
    expect(partsOf(page)).toContain('refund_order output-denied');
    await showsWhatIsKept(page, ben);
    const [call] = await ben.client.toolCalls(page.lastMessage?.id ?? '');
    expect(call?.reason).toBe('Too dear.');
  });

  it('gives the results of the page, from onToolCall, each call once', async () => {
    const cyd = await open('cyd');
    const called: string[] = [];
    const page: Page = cyd.page({
      onToolCall: ({ toolCall: { toolName: tool, toolCallId } }) => {
        called.push(tool);
        // Not awaited: the stream waits for this function.
        void page.addToolOutput({ tool: tool as never, toolCallId, output: '2026-12-01' });
      },
    });
    await page.sendMessage({ text: 'use find_order and pick_date then use pick_date' });
    await ends(page);
    expect(called).toEqual(['pick_date', 'pick_date']);
    expect(partsOf(page).filter((part) => part.startsWith('pick_date'))).toEqual([
      'pick_date output-available "2026-12-01"',
      'pick_date output-available "2026-12-01"',
    ]);
    await showsWhatIsKept(page, cyd);
  });

  it('sends each answer at once while other calls wait, and an approved call may then ask for a result', async () => {
    const dan = await open('dan');
    const called: string[] = [];
    const page = dan.page({ onToolCall: ({ toolCall }) => void called.push(toolCall.toolName) });
    await page.sendMessage({ text: 'use refund_order and share_place and pick_date' });
    await waits(page);
    expect(called).toEqual(['pick_date']);
    const date = toolPart(page, 'pick_date').toolCallId;
    await page.addToolOutput({ tool: 'pick_date' as never, toolCallId: date, output: '2026-12-01' });
    await until(async () => dan.turns.length === 2 && page.status === 'ready', 'the first answer');
    expect((await dan.client.toolCalls(page.lastMessage?.id ?? '')).map(({ status }) => status)).toEqual([
      'awaiting_approval',
      'awaiting_approval',
      'succeeded',
    ]);
    const place = toolPart(page, 'share_place').toolCallId;
    await page.addToolApprovalResponse({ id: place, approved: true });
    await until(async () => called.length === 2 && page.status === 'ready', 'the second answer');
    expect([called, partsOf(page)]).toEqual([
      ['pick_date', 'share_place'],
      expect.arrayContaining(['share_place input-available', 'refund_order approval-requested']),
    ]);
    await page.addToolOutput({
      ...{ state: 'output-error', tool: 'share_place' as never, toolCallId: place },
      errorText: 'No signal.',
    });
    await until(async () => dan.turns.length === 4 && page.status === 'ready', 'the third answer');
    await page.addToolApprovalResponse({ id: toolPart(page, 'refund_order').toolCallId, approved: true });
    await ends(page);
    expect(partsOf(page)).toContain('share_place output-error No signal.');
    await showsWhatIsKept(page, dan);
    expect(dan.turns).toEqual(['turns', 'events', 'events', 'events', 'events']);
  });

  it('also works with the package’s own conditions, and never sends twice what is answered', async () => {
    const eve = await open('eve');
    const page = eve.page({
      sendAutomaticallyWhen: (chat) =>
        lastAssistantMessageIsCompleteWithApprovalResponses(chat) || lastAssistantMessageIsCompleteWithToolCalls(chat),
    });
    await page.sendMessage({ text: 'use refund_order and pick_date' });
    await waits(page);
    const date = toolPart(page, 'pick_date').toolCallId;
    await page.addToolOutput({ tool: 'pick_date' as never, toolCallId: date, output: '2026-12-01' });
    await page.addToolApprovalResponse({ id: toolPart(page, 'refund_order').toolCallId, approved: true });
    await ends(page);
    await showsWhatIsKept(page, eve);
    await page.sendMessage({ text: 'use find_order' });
    expect(eve.turns.length).toBeLessThanOrEqual(4);
    const { data } = await eve.client.listMessages(eve.id);
    expect(data.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user', 'assistant']);
  });

  it('shows a call that waits after a reload, and takes the answer then', async () => {
    const fay = await open('fay');
    const before = fay.page();
    await before.sendMessage({ text: 'use refund_order and pick_date' });
    await waits(before);
    const again = await open('fay');
    const called: string[] = [];
    const page = again.page({
      messages: toUIMessages((await again.client.openChat('support')).messages),
      onToolCall: ({ toolCall }) => void called.push(toolCall.toolName),
    });
    await page.resumeStream();
    await waits(page);
    expect([called, partsOf(page)]).toEqual([
      ['pick_date'],
      ['text', 'refund_order approval-requested', 'pick_date input-available'],
    ]);
    // Twice is fine.
    await page.resumeStream();
    expect(partsOf(page)).toHaveLength(3);
    await page.addToolApprovalResponse({ id: toolPart(page, 'refund_order').toolCallId, approved: true });
    await until(async () => page.status === 'ready' && again.turns.length === 3, 'the approval');
    const date = toolPart(page, 'pick_date').toolCallId;
    await page.addToolOutput({ tool: 'pick_date' as never, toolCallId: date, output: '2026-12-01' });
    await ends(page);
    await showsWhatIsKept(page, again);
    // The page that was left shows the whole reply when it is resumed, although the turn has ended.
    await before.resumeStream();
    expect(before.lastMessage?.metadata?.job_status).toBe('succeeded');
    expect(before.text).toContain('2026-12-01');
  });

  it('takes an answer from elsewhere instead of its own', async () => {
    const gus = await open('gus');
    const page = gus.page();
    await page.sendMessage({ text: 'use refund_order' });
    await waits(page);
    const { toolCallId } = toolPart(page, 'refund_order');
    await gus.client.decide(page.lastMessage?.id ?? '', toolCallId, 'deny');
    await page.addToolApprovalResponse({ id: toolCallId, approved: true });
    await ends(page);
    expect([page.error, partsOf(page)]).toEqual([undefined, expect.arrayContaining(['refund_order output-denied'])]);
  });

  it('reports a result that the service refuses, and takes another one then', async () => {
    const hal = await open('hal');
    const page = hal.page();
    await page.sendMessage({ text: 'use pick_date' });
    await waits(page);
    const { toolCallId } = toolPart(page, 'pick_date');
    await page.addToolOutput({ tool: 'pick_date' as never, toolCallId, output: 'tomorrow' });
    await until(async () => page.status === 'error', 'the refusal');
    expect(page.error).toBeInstanceOf(ApiError);
    await page.addToolOutput({ tool: 'pick_date' as never, toolCallId, output: '2026-12-01' });
    await ends(page);
    await showsWhatIsKept(page, hal);
  });

  it('cancels a turn that waits, and shows that when it is resumed', async () => {
    const ida = await open('ida');
    const page = ida.page();
    await page.sendMessage({ text: 'use refund_order' });
    await waits(page);
    await ida.transport.cancel(ida.id);
    await page.resumeStream();
    expect([page.status, page.error, page.lastMessage?.metadata?.job_status]).toEqual(['ready', undefined, 'canceled']);
    expect(toolPart(page, 'refund_order').state).toBe('output-error');
    // Nothing goes on by itself, and the next turn is accepted.
    await page.sendMessage({ text: 'never mind' });
    expect([page.status, page.lastMessage?.metadata?.job_status]).toEqual(['ready', 'succeeded']);
  });

  it('shows the sources of a reply, each once, and no address that is not a web page’s', async () => {
    const jon = await open('jon');
    const page = jon.page();
    await page.sendMessage({ text: 'Hola' });
    const source = (url: string): object => ({ type: 'source', url, title: url.length > 30 ? null : 'A page' });
    const web = ['https://example.com/a', 'https://example.com/a/title/of/none'];
    const parts = [
      { type: 'text', text: 'One. ' },
      source(web[0] as string),
      source('javascript:alert(1)'),
      { type: 'text', text: 'Two.' },
      source(web[1] as string),
      source(web[0] as string),
      { type: 'later', of: 'tomorrow' },
    ];
    await stack.database.query(`UPDATE messages SET content = 'One. Two.', parts = $2 WHERE job_id = $1`, [
      page.lastMessage?.id,
      JSON.stringify(parts),
    ]);
    const [kept] = toUIMessages((await jon.client.listMessages(jon.id)).data.slice(-1));
    expect(kept?.parts).toEqual([
      { type: 'text', text: 'One. Two.', state: 'done' },
      { type: 'source-url', sourceId: web[0], url: web[0], title: 'A page' },
      { type: 'source-url', sourceId: web[1], url: web[1] },
    ]);
    jon.transport.expectReply({ id: jon.id, unfinished_job_id: page.lastMessage?.id ?? '' });
    const later = jon.page();
    await later.resumeStream();
    expect(later.lastMessage?.parts).toEqual(kept?.parts.map((part) => expect.objectContaining(part)));
  });
});
