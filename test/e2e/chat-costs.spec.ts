import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import type { SeenCall } from '../support/model-stub.js';
import { type ChatBill, type ChatPlan, playChat, pricedAssistants, TWO_CALLS_TWICE } from '../support/priced-chats.js';
import { type Stack, startStack } from '../support/stack.js';
import { giveTools, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';

const MINUTE_MS = 60_000;

type Block = Readonly<Record<string, unknown>>;

/** The prompt of a call, block by block, as the provider's cache sees it: tools, system, messages, without marks. */
function promptOf({ tools, system, messages }: SeenCall): string[] {
  const sections = [
    ...((tools ?? []) as Block[]).map((block) => ({ block, of: 'tools' })),
    ...(system as Block[]).map((block) => ({ block, of: 'system' })),
    ...messages.flatMap(({ role, content }) =>
      (typeof content === 'string' ? [{ type: 'text', text: content }] : (content as Block[])).map((block) => ({
        block,
        of: role,
      })),
    ),
  ];
  return sections.map(({ block: { cache_control: _, ...block }, of }) => JSON.stringify([of, block]));
}

/** The bill is the stand-in's, which has the rules of the real cache. Nothing here is timed. */
describe('what a chat costs', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    tools = await startTools();
    stack = await startStack({ env: { ASSISTANTS_FILE: await pricedAssistants(tools), TOOLS_SECRET } });
  });
  beforeEach(() => stack.model.reset());
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  const play = async (plan: ChatPlan): Promise<ChatBill> => {
    const bill = await playChat(stack, plan);
    const { input, read, written, output, cost } = bill;
    const { cost: reportedCost, ...reported } = bill.reported;
    expect(reported).toEqual({ input, read, written, output });
    expect(reportedCost).toBeCloseTo(cost, 8);
    return bill;
  };

  it('a support chat reads nine tenths of its input from the cache, and costs at most a quarter', async () => {
    const bill = await play({ turns: 50, cacheTtl: '5m' });
    expect(bill.read / bill.input).toBeGreaterThan(0.9);
    expect(bill.cost / bill.costWithoutCache).toBeLessThan(0.25);
    // Each token is written once, and none is paid for in full.
    expect(bill.written).toBeLessThan(750 + 50 * 1_000);
    expect(bill.full).toBe(0);
  });

  it('so does a chat with tools and several steps, and one with a turn of 16 calls', async () => {
    for (const callsOf of [TWO_CALLS_TWICE, (turn: number) => (turn === 10 ? [16] : [])]) {
      const bill = await play({ turns: 25, cacheTtl: '5m', callsOf });
      expect(bill.read / bill.input).toBeGreaterThan(0.9);
      expect(bill.cost / bill.costWithoutCache).toBeLessThan(0.33);
    }
  });

  it('a chat with ten minutes between its turns writes all of it each time, unless it is kept for an hour', async () => {
    const rarely = { turns: 6, restMs: 10 * MINUTE_MS };
    expect(await play({ ...rarely, cacheTtl: '5m' })).toMatchObject({ read: 0 });
    const bill = await play({ ...rarely, cacheTtl: '1h' });
    expect(bill.read / bill.input).toBeGreaterThan(0.7);
  });

  it('another user’s chat begins with what the assistant’s other chats have written', async () => {
    const first = await stack.as('first').turn((await stack.as('first').chat('shop-5m-tools')).id, 'hello');
    const second = await stack.as('second').turn((await stack.as('second').chat('shop-5m-tools')).id, 'hi there');
    expect(first.body.assistant_message.usage.cache_read_tokens).toBe(0);
    // System prompt and tools.
    expect(second.body.assistant_message.usage.cache_read_tokens).toBeGreaterThan(750);
  });

  const ask = async (client: Client, chat: string, words: string): Promise<string> => {
    const { status, body } = await client.turn(chat, words);
    expect([words, status]).toEqual([words, 200]);
    return body.job_id as string;
  };

  it('each request begins with the bytes of the one before, over turns and steps, with all its marks in the right places', async () => {
    const ana = stack.as('ana');
    const { id } = await ana.chat('shop-5m-tools');
    await ask(ana, id, 'The first question.');
    await ask(ana, id, 'use find_order and find_order then use find_order then use find_order');
    await ana.post(`/api/v1/chats/${id}/messages`, { content: 'A message without a reply.' });
    await ask(ana, id, 'use find_order 16 times');
    await stack.model.script('comes to nothing', { status: 529, error_type: 'overloaded_error' }, 1);
    await ask(ana, id, 'This comes to nothing at first.');
    await ask(ana, id, 'use find_order');
    const calls = await stack.model.allCalls();
    expect(calls.length).toBe(1 + 4 + 2 + 2 + 2);
    let asked: string[] = [];
    let before: string[] = [];
    let question = '';
    for (const call of calls) {
      const prompt = promptOf(call);
      const begins = call.asked === question ? before : asked;
      expect(prompt.slice(0, begins.length)).toEqual(begins);
      if (call.asked !== question) asked = prompt;
      [before, question] = [prompt, call.asked];
      const marks = [...(call.system as Block[]), ...call.messages.flatMap(({ content }) => content as Block[])];
      expect(marks.filter((block) => block.cache_control !== undefined).length).toBeLessThanOrEqual(4);
    }
    // Each first request of a turn reads all that the first request of the turn before had; each further one all of the one before it.
    const { calls: billed } = await stack.model.bill();
    const paid = billed.filter(({ outcome }) => outcome === 'completed');
    const size = (n: number): number => {
      const {
        input_tokens: full = 0,
        cache_read_input_tokens: read = 0,
        cache_write_5m_input_tokens: written = 0,
      } = paid[n] ?? {};
      return full + read + written;
    };
    let firstOfTurn = 0;
    for (const [n, { asked: words, cache_read_input_tokens: read, input_tokens: full }] of paid.entries()) {
      if (n === 0) continue;
      const goesOn = words === paid[n - 1]?.asked;
      expect([n, read]).toEqual([n, size(goesOn ? n - 1 : firstOfTurn)]);
      expect([n, full]).toEqual([n, 0]);
      if (!goesOn) firstOfTurn = n;
    }
  });

  it('a turn that waits for a person for longer than the cache keeps anything costs the next turn no more', async () => {
    const refund = httpTool(tools, 'refund_order', { approval: 'always' });
    await giveTools(stack, 'shop-5m-tools', [httpTool(tools, 'find_order'), refund]);
    const ben = stack.as('ben');
    const { id } = await ben.chat('shop-5m-tools');
    await ask(ben, id, 'A question that comes first. '.repeat(50));
    const { body } = await ben.turn(id, 'use find_order then use refund_order');
    await stack.model.pass(10 * MINUTE_MS);
    const path = `/api/v1/jobs/${body.id}/tool-calls/${body.required_action.tool_calls[0].id}`;
    expect((await ben.patch(path, { decision: 'approve' })).status).toBe(200);
    expect((await ben.finalJob(body.id)).status).toBe('succeeded');
    const job = await ask(ben, id, 'And now?');
    const [first, , resumed] = await ledgerOf(stack, body.id as string);
    const [later] = await ledgerOf(stack, job);
    // What the first step sent is read; what follows it, the reply, was never sent in this form.
    expect(resumed).toMatchObject({ cache_read_tokens: 0 });
    expect(later?.cache_read_tokens).toBe(first?.input_tokens);
  });
});
