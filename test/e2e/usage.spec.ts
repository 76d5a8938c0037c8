import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkBill } from '../support/bill-check.js';
import { Client } from '../support/client.js';
import { exact, exactCost } from '../support/exact-cost.js';
import { ledgerOf } from '../support/ledger.js';
import { pricedAssistants, PRICES } from '../support/priced-assistants.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const SEARCH = { name: 'web_search', run: 'provider', type: 'web_search_20250305' };
const FOR_A_SEARCH = 0.0101;
const TODAY = (): string => new Date().toISOString().slice(0, 10);

describe('what calls cost', () => {
  let stack: Stack;
  let ops: Client;
  const sonnet = { ...PRICES['claude-sonnet-5-5']!, server_tools: { web_search_requests: FOR_A_SEARCH } };
  const prices = { ...PRICES, 'claude-sonnet-5-5': sonnet };
  beforeAll(async () => {
    stack = await startStack({
      env: {
        ASSISTANTS_FILE: await pricedAssistants(
          { general: { tools: [SEARCH] }, support: { system_prompt: 'Help. '.repeat(4_000) } },
          prices,
        ),
      },
    });
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
  });
  afterAll(() => stack.stop());

  const usage = async (query: string) => (await ops.get(`/api/v1/admin/usage?from=${TODAY()}&${query}`)).body;
  const callsOf = async (jobId: string) => (await ops.get(`/api/v1/admin/jobs/${jobId}`)).body.calls;

  it('is the sum of its parts: input, cache reads and writes, output with its thoughts, searches of the provider', async () => {
    const start = {
      input_tokens: 100,
      cache_read_input_tokens: 2_000,
      cache_creation_input_tokens: 300,
      cache_creation: { ephemeral_5m_input_tokens: 50, ephemeral_1h_input_tokens: 250 },
      output_tokens: 1,
    };
    // As the API does, the end has the sum of what was written to the cache, without its parts.
    const end = {
      input_tokens: 100,
      cache_read_input_tokens: 2_000,
      cache_creation_input_tokens: 300,
      output_tokens: 77,
      output_tokens_details: { thinking_tokens: 33 },
      server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
    };
    await stack.model.script('with everything', { text: 'Yes.', usage_start: start, usage_delta: end });
    const ana = stack.as('ana');
    const { body } = await ana.turn((await ana.chat()).id, 'with everything');
    const figures = {
      input: 2_400,
      cacheRead: 2_000,
      cacheWrite5m: 50,
      cacheWrite1h: 250,
      output: 77,
      serverTools: { web_search_requests: 2 },
    };
    const cost = exactCost(figures, sonnet);
    const [line] = await ledgerOf(stack, body.job_id);
    expect(exact(String((line as unknown as { cost: string }).cost))).toBe(cost);
    // By hand: 100 × 3 + 2,000 × 0.31 + 50 × 3.77 + 250 × 6.1 + 77 × 15.0007 millionths, and two searches.
    expect(Number(cost) / 1e18).toBeCloseTo(0.0037885539 + 0.0202, 12);
    const shown = {
      input_tokens: 2_400,
      output_tokens: 77,
      cache_read_tokens: 2_000,
      cache_write_tokens: 300,
      thinking_tokens: 33,
      cost: Number(cost) / 1e18,
    };
    expect(body.assistant_message.usage).toEqual(shown);
    expect(await callsOf(body.job_id)).toEqual([
      expect.objectContaining({
        ...shown,
        step: 1,
        purpose: 'reply',
        server_tools: { web_search_requests: 2 },
        estimated: false,
      }),
    ]);
    expect(await usage('user=ana&group_by=user')).toMatchObject({
      currency: 'EUR',
      data: [{ user_id: 'ana', ...shown }],
    });
  });

  it('is shown by model and purpose, also of calls that failed, were canceled, or made a summary', async () => {
    const ben = stack.as('ben');
    const chat = (await ben.chat()).id;
    await stack.model.script('fails once', { pieces: ['So '], cut_after: 1 }, 1);
    await ben.turn(chat, 'fails once');
    await stack.model.script('stays', { pieces: ['Hm. '], stall_after: 1 });
    const { body } = await ben.turn(chat, 'stays', { prefer: 'respond-async' });
    await until(async () => (await ben.get(`/api/v1/jobs/${body.id}`)).body.status === 'running', 'the attempt');
    await until(async () => (await stack.model.calls('stays')).length > 0, 'the call');
    await ben.patch(`/api/v1/jobs/${body.id}`, { status: 'canceled' });
    await until(async () => (await ledgerOf(stack, body.id))[0]?.outcome === 'canceled', 'the end of the call');
    // A summary is the call for step 0.
    await stack.database.query(
      `INSERT INTO model_calls (job_id, attempt, step, purpose, model, user_id, assistant_slug) VALUES ($1, 1, 0, 'summary', 'claude-opus-5-5', 'ben', 'support')`,
      [body.id],
    );
    await stack.database.query(
      `UPDATE model_calls SET outcome = 'completed', ended_at = now(), input_tokens = 1000, output_tokens = 10 WHERE purpose = 'summary'`,
    );
    const { data } = await usage('user=ben&group_by=purpose,model');
    expect(data).toEqual([
      expect.objectContaining({ model: 'claude-opus-5-5', purpose: 'summary', cost: 1.02 }),
      expect.objectContaining({
        model: 'claude-sonnet-5-5',
        purpose: 'reply',
        calls: { running: 0, completed: 1, failed: 1, canceled: 1, handed_back: 0, lost: 0 },
      }),
    ]);
    const calls = await callsOf(body.id);
    expect(calls).toEqual([
      expect.objectContaining({ step: 0, purpose: 'summary', cost: 1.02 }),
      expect.objectContaining({ step: 1, purpose: 'reply', outcome: 'canceled', estimated: true }),
    ]);
    const failed = await stack.database.query(
      `SELECT cost FROM model_calls WHERE user_id = 'ben' AND outcome = 'failed'`,
    );
    expect(Number(failed.rows[0].cost)).toBeGreaterThan(0);
    const sum = calls[1].cost + Number(failed.rows[0].cost);
    expect(data[1].cost).toBeGreaterThan(sum);
    const pages: unknown[] = [];
    for (let after = ''; ;) {
      const page = await usage(`user=ben&group_by=purpose,model&limit=1${after}`);
      pages.push(...page.data);
      if (!page.has_more) break;
      after = `&after=${page.after}`;
    }
    expect(pages).toEqual(data);
  });

  it('equals the bill of the model to the token, with what the cache has and what the model thinks and searches', async () => {
    await stack.database.query('DELETE FROM model_calls');
    await stack.database.query('DELETE FROM spending');
    await stack.model.reset();
    const people = ['cem', 'dan', 'eva'].map((user) => stack.as(user));
    for (const [n, user] of people.entries()) {
      const chat = (await user.chat(n === 2 ? 'general' : 'support')).id;
      for (let turn = 0; turn < 4; turn++) {
        const text =
          n === 2
            ? `use web_search {"query":"weather ${turn}"}`
            : `question ${turn} of ${n}: ${'word '.repeat(400 * n)}`;
        expect((await user.turn(chat, text)).status).toBe(200);
      }
    }
    const bill = await stack.model.bill();
    const { data } = await usage('group_by=day');
    const {
      faults,
      exact: compared,
      estimated,
    } = await checkBill({ database: stack.database, bill, prices, usage: data });
    expect({ faults, compared, estimated }).toEqual({ faults: [], compared: bill.calls.length, estimated: 0 });
    // Otherwise the comparison would show little.
    const { cache_read_input_tokens: read, cache_write_5m_input_tokens: written, ...rest } = bill.total;
    expect({ read, written, thinking: rest.thinking_tokens, searches: rest.web_search_requests }).toEqual({
      read: expect.any(Number),
      written: expect.any(Number),
      thinking: expect.any(Number),
      searches: 4,
    });
    expect(Math.min(read, written, rest.thinking_tokens)).toBeGreaterThan(0);
    // A token too many is found, in the entry and in the sums.
    await stack.database.query(
      `UPDATE model_calls SET output_tokens = output_tokens + 1 WHERE ctid = (SELECT min(ctid) FROM model_calls)`,
    );
    const { faults: found } = await checkBill({ database: stack.database, bill, prices, usage: data });
    expect(found).toEqual([
      expect.stringMatching(/output is \d+, billed are \d+/),
      expect.stringMatching(/usage shows \d+ \(output\)/),
      expect.stringContaining('usage shows a cost'),
    ]);
  });
});
