import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '#database/ids.js';
import { metricsOf, metricsUrl } from '../support/figures.js';
import { Client } from '../support/client.js';
import { pricedAssistants } from '../support/priced-assistants.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/**
 * The turns below reserve this, or a little more in a chat that has messages: a token for a short message, and the longest reply. In money
 * it is 1 × 1,250 and 50 × 2,000 millionths.
 */
const [TOKENS, LONGEST] = [101, 100];
const [COST, TEN_TIMES_COST, LONGEST_DEAR] = [0.10125, 1.0125, 50];

const MIDNIGHT = (): string => {
  const midnight = new Date();
  midnight.setUTCHours(24, 0, 0, 0);
  return midnight.toISOString();
};

describe('a day’s budget, over two API processes', () => {
  let stack: Stack;
  let other: App;
  beforeAll(async () => {
    stack = await startStack({
      env: {
        USER_TOKENS_PER_DAY: String(10 * TOKENS),
        USER_COST_PER_DAY: String(TEN_TIMES_COST),
        METRICS_PORT: '0',
        DATABASE_POOL_SIZE: '20',
        ASSISTANTS_FILE: await pricedAssistants({ billing: { cost_per_day: 1_000 } }),
      },
    });
    other = await stack.startApi();
    await stack.model.script('stay', { pieces: ['Hm. '], stall_after: 1 });
    await stack.model.script('fail', { status: 400, error_type: 'invalid_request_error' });
  });
  afterAll(() => stack.stop());

  /** Chats, each with an assistant that is not on offer. */
  const chats = async (users: readonly string[], model: string, longest: number): Promise<string[]> => {
    const ids = users.map(() => newId());
    await stack.database.query(
      `WITH chat AS (SELECT user_id, id, 'one-' || id AS slug FROM unnest($1::text[], $2::uuid[]) AS c (user_id, id)),
       assistant AS (
         INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens, retired_at)
         SELECT slug, 'B', 'B', 'P', 'W', $3, $4, now() FROM chat)
       INSERT INTO chats (id, user_id, assistant_slug, status) SELECT id, user_id, slug, 'active' FROM chat`,
      [users, ids, model, longest],
    );
    return ids;
  };
  const fill = <T>(count: number, value: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => value(n));
  /** Sends a turn into each chat at once, through both processes. */
  const sendAll = (users: readonly string[], ids: readonly string[], text: string) =>
    Promise.all(
      ids.map((id, n) =>
        stack.as(users[n] ?? '', n % 2 === 0 ? stack.api : other).turn(id, text, { prefer: 'respond-async' }),
      ),
    );

  /** Cancels turns, and waits until their calls have their figures. */
  const cancelAll = async (): Promise<void> => {
    const { rows } = await stack.database.query<{ id: string; user: string }>(
      `SELECT id, user_id AS user FROM jobs WHERE finished_at IS NULL`,
    );
    await Promise.all(rows.map(({ id, user }) => stack.as(user).patch(`/api/v1/jobs/${id}`, { status: 'canceled' })));
    await until(async () => {
      const open = await stack.database.query(`SELECT FROM model_calls WHERE ended_at IS NULL`);
      return open.rows.length === 0;
    }, 'the calls to end');
  };
  /** As if it were another day. */
  const passMidnight = async (): Promise<void> => {
    await stack.database.query(`UPDATE model_calls SET started_at = started_at - interval '1 day'`);
    // Earlier days have rows of the same sessions.
    await stack.database.query(`DELETE FROM spending WHERE day < (now() AT TIME ZONE 'UTC')::date`);
    await stack.database.query('UPDATE spending SET day = day - 1');
  };

  it.each([
    ['a user’s tokens', 'user_tokens', 'Your turns in progress may use up the rest of your tokens for today.'],
    ['a user’s cost', 'user_cost', 'Your turns in progress may use up the rest of your budget for today.'],
    [
      'an assistant’s cost',
      'assistant_cost',
      'Turns in progress may use up the rest of the assistant’s budget for today.',
    ],
  ])(
    'has room for ten of two hundred turns at once, and the next day for ten more: %s',
    async (_, budget, message) => {
      const users = fill(200, (n) => (budget === 'assistant_cost' ? `${budget} ${n}` : budget));
      const ids =
        budget === 'user_tokens'
          ? await chats(users, 'claude-sonnet-5-5', LONGEST)
          : await chats(users, 'claude-opus-5-5', LONGEST_DEAR);
      if (budget === 'assistant_cost') {
        await stack.database.query(
          `UPDATE assistants SET model = 'claude-opus-5-5', max_output_tokens = $1, system_prompt = 'P', version = version + 1,
                cost_per_day = $2 WHERE slug = 'billing'`,
          [LONGEST_DEAR, TEN_TIMES_COST],
        );
        await stack.database.query(`UPDATE chats SET assistant_slug = 'billing' WHERE id = ANY($1)`, [ids]);
      }
      const answers = await sendAll(users, ids, 'stay');
      const refused = answers.filter(({ status }) => status === 429);
      expect([answers.filter(({ status }) => status === 202).length, refused.length]).toEqual([10, 190]);
      for (const { body, headers } of refused) {
        // No figure of an assistant's budget is in it.
        expect(body).toEqual({
          code: 'budget_exhausted',
          message,
          request_id: expect.any(String),
          budget,
          resets_at: MIDNIGHT(),
        });
        // Room may be free again soon.
        expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(10);
        const isTokens = budget === 'user_tokens';
        expect(headers.get('ratelimit-policy')).toBe(isTokens ? '"tokens";q=1010;qu="tokens";w=86400' : null);
        expect(headers.get('ratelimit')).toBe(isTokens ? '"tokens";r=0;t=10' : null);
      }
      await cancelAll();
      await passMidnight();
      const next = await sendAll(users, ids, 'stay');
      expect(next.filter(({ status }) => status === 202)).toHaveLength(10);
      await cancelAll();
    },
    120_000,
  );

  it('that is spent refuses turns, streams and replies until midnight (UTC)', async () => {
    const [chat = '', second = ''] = await chats(['ana', 'ana'], 'claude-sonnet-5-5', 2_000);
    await stack.model.script('spend it', {
      text: 'All of it.',
      usage_delta: { input_tokens: 10, output_tokens: 1_000 },
    });
    const ana = stack.as('ana');
    expect((await ana.turn(chat, 'spend it')).status).toBe(200);
    const untilMidnight = Math.ceil((Date.parse(MIDNIGHT()) - Date.now()) / 1_000);
    for (const [where, headers] of [
      [chat, {}],
      [second, { accept: 'text/event-stream' }],
    ] as const) {
      const refused = await stack.as('ana', other).turn(where, 'once more', headers);
      expect([refused.status, refused.body.budget, refused.body.message]).toEqual([
        429,
        'user_tokens',
        'You have used up your tokens for today.',
      ]);
      expect(Math.abs(Number(refused.headers.get('retry-after')) - untilMidnight)).toBeLessThan(30);
    }
    expect((await ana.post(`/api/v1/chats/${second}/messages`, { content: 'and this?' })).status).toBe(201);
    const reply = await ana.post('/api/v1/jobs/assistant-reply', { chat_id: second });
    expect([reply.status, reply.body.code]).toEqual([429, 'budget_exhausted']);
    const { rows } = await stack.database.query(`SELECT FROM jobs WHERE user_id = 'ana'`);
    expect(rows).toHaveLength(1);
    await passMidnight();
    expect((await ana.post('/api/v1/jobs/assistant-reply', { chat_id: second })).status).toBe(202);
    await cancelAll();
  });

  it('has room again when a turn failed, and while its worker is dead only when another has ended it', async () => {
    const [first = '', second = ''] = await chats(['bea', 'bea'], 'claude-sonnet-5-5', 2_000);
    const bea = stack.as('bea');
    expect((await bea.turn(first, 'fail')).status).toBe(502);
    const sent = await bea.turn(first, 'stay', { prefer: 'respond-async' });
    await until(async () => (await bea.get(`/api/v1/jobs/${sent.body.id}`)).body.status === 'running', 'the attempt');
    await stack.workers[0]?.kill();
    expect((await bea.turn(second, 'hello')).body.budget).toBe('user_tokens');
    await stack.model.clearScripts();
    await stack.startWorker();
    expect(await bea.finalJob(sent.body.id)).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect((await bea.turn(second, 'hello')).status).toBe(200);
  }, 60_000);

  it('with room for one turn takes it once, however often the request comes', async () => {
    for (let n = 0; n < 10; n++) {
      const [chat = ''] = await chats([`twin ${n}`], 'claude-sonnet-5-5', 2_000);
      const key = { prefer: 'respond-async', 'idempotency-key': 'once' };
      const answers = await Promise.all(
        fill(4, (twin) => stack.as(`twin ${n}`, twin % 2 === 0 ? stack.api : other).turn(chat, 'hello', key)),
      );
      expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    }
  });

  it('is shown to operators: assistants, users above a share, and as a metric', async () => {
    await passMidnight();
    const ops = new Client(other.url, tokenFor('ops', { scope: 'admin' }));
    const budgets = async (query = '') => (await ops.get(`/api/v1/admin/budgets${query}`)).body;
    await stack.database.query(`UPDATE assistants SET cost_per_day = 1 WHERE slug = 'billing'`);
    await stack.database.query(
      `INSERT INTO spending VALUES ((now() AT TIME ZONE 'UTC')::date, 'billing', 1, 0.5), ((now() AT TIME ZONE 'UTC')::date, 'billing', 2, 0.25)`,
    );
    await stack.database.query(
      `INSERT INTO model_calls (job_id, attempt, model, outcome, ended_at, user_id, assistant_slug, input_tokens, output_tokens, cost)
       SELECT gen_random_uuid(), 1, 'm', 'completed', now(), u, 'billing', t, 0, c
         FROM (VALUES ('nearly', 818, 0.1), ('over', 2000, 0.1), ('poor', 10, 1.0), ('fine', 10, 0.1)) AS v (u, t, c)`,
    );
    await stack.model.script('stay', { pieces: ['Hm. '], stall_after: 1 });
    const [chat = ''] = await chats(['fine'], 'claude-opus-5-5', LONGEST_DEAR);
    await stack.database.query(`UPDATE chats SET assistant_slug = 'billing' WHERE id = $1`, [chat]);
    expect((await stack.as('fine').turn(chat, 'stay', { prefer: 'respond-async' })).status).toBe(202);
    const now = await budgets();
    expect(now).toMatchObject({
      day: new Date().toISOString().slice(0, 10),
      resets_at: MIDNIGHT(),
      currency: 'EUR',
      tokens_per_user: 1_010,
      cost_per_user: TEN_TIMES_COST,
      assistants: [{ assistant: 'billing', cost_per_day: 1, cost: 0.75, reserved_cost: COST, share: 85.13 }],
      has_more: false,
    });
    expect(now.users.map(({ user_id, share }: { user_id: string; share: number }) => [user_id, share])).toEqual([
      ['over', 198.02],
      ['poor', 98.77],
      ['nearly', 80.99],
    ]);
    expect((await budgets('?share=81')).users).toHaveLength(2);
    expect(await budgets('?share=1&limit=2')).toMatchObject({
      users: [{ user_id: 'over' }, { user_id: 'poor' }],
      has_more: true,
    });
    const { users } = await budgets('?share=1');
    expect(users.find(({ user_id: id }: { user_id: string }) => id === 'fine')).toMatchObject({
      reserved_tokens: LONGEST_DEAR + 1,
      cost: 0.1,
      reserved_cost: COST,
    });
    expect((await ops.get('/api/v1/admin/budgets?share=0')).status).toBe(422);
    const figures = await metricsOf(metricsUrl(stack.api.output()));
    expect(figures.get('rejoinder_assistant_budget_ratio{assistant="billing"}')).toBeCloseTo(0.8513);
    for (const budget of ['user_tokens', 'user_cost', 'assistant_cost']) {
      expect(figures.get(`rejoinder_rate_limited_total{limit="${budget}"}`)).toBeGreaterThan(0);
    }
    await cancelAll();
  });
});
