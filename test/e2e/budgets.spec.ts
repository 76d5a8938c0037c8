import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { release } from '#erasure/release.js';
import { cancel, cancelAttempt } from '#jobs/cancel.js';
import { extend } from '#jobs/extend.js';
import { NO_FIGURES, purgeSpending, settleCall } from '#jobs/ledger.js';
import { endExpired, endSpent, endUndecided } from '#jobs/reconcile.js';
import { requeue } from '#jobs/requeue.js';
import { finish, giveUp, handBack } from '#jobs/transitions.js';
import type { Budgets } from '#limits/budgets.js';
import { NO_LIMITS } from '#limits/user-limits.js';
import {
  BudgetedTurns,
  RESERVED_COST,
  RESERVED_TOKENS,
  type Sent,
  wasAccepted,
  ENDED,
} from '../support/budgeted-turns.js';
import { type StatementsDatabase, startStatementsDatabase } from '../support/statements-database.js';

/** Figures of a call: a thousandth of a thousand for each token of input, two for each of output. */
const used = (inputTokens: number, outputTokens: number) => ({ ...NO_FIGURES, inputTokens, outputTokens });

const LOST_FOR_GOOD = {
  steps: 0,
  code: 'model_rejected',
  message: 'no',
  most: 1,
  definitionUnusable: false,
  leavesOut: false,
  free: false,
  delayMs: 0,
} as const;

/** Calls the statements themselves, all at once, because no service would send them so close together. */
describe('a budget of a day', () => {
  let database: StatementsDatabase;
  let source: DataSource;
  let turns: BudgetedTurns;
  beforeAll(async () => {
    database = await startStatementsDatabase(20);
    ({ source } = database);
    turns = new BudgetedTurns(source);
    await turns.price();
  });
  afterAll(() => database?.stop());

  /** Chats of one user, each with an assistant of its own. */
  const chatsOf = async (user: string, count: number): Promise<string[]> => {
    const chats: string[] = [];
    for (let n = 0; n < count; n++) chats.push(await turns.chat(user, await turns.assistant(null)));
    return chats;
  };
  const usageOfUser = async (user: string): Promise<Record<string, number>> => {
    const [row] = await source.query('SELECT * FROM user_usage($1)', [user]);
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]));
  };
  const usageOfAssistant = async (slug: string): Promise<{ cost: number; reserved: number }> => {
    const [row] = await source.query('SELECT * FROM assistant_usage($1)', [slug]);
    return { cost: Number(row.cost), reserved: Number(row.reserved_cost) };
  };

  it.each<[string, Partial<Budgets>, number | null, string]>([
    ['a user’s tokens', { tokensPerDay: 10 * RESERVED_TOKENS }, null, 'user_tokens'],
    ['a user’s cost', { costPerDay: 10 * RESERVED_COST }, null, 'user_cost'],
    ['an assistant’s cost', { ofAssistants: true }, 10 * RESERVED_COST, 'assistant_cost'],
  ])(
    'for ten turns takes ten of two hundred that come at one moment: %s',
    async (what, budgets, perAssistant, name) => {
      const slug = await turns.assistant(perAssistant);
      const places: { user: string; chat: string }[] = [];
      for (let n = 0; n < 200; n++) {
        const user = perAssistant === null ? what : `${what} ${n}`;
        places.push({ user, chat: await turns.chat(user, perAssistant === null ? await turns.assistant(null) : slug) });
      }
      const outcomes = await Promise.all(
        places.map(({ user, chat }, n) =>
          n % 4 === 0 ? turns.ask(user, chat, budgets) : turns.send(user, chat, budgets),
        ),
      );
      expect(outcomes.filter(wasAccepted)).toHaveLength(10);
      expect(outcomes.filter((outcome) => outcome === name)).toHaveLength(190);
      // What was reserved for turns that failed is free again.
      for (const outcome of outcomes.filter(wasAccepted)) {
        const { attempt } = await turns.begin(outcome.jobId);
        await giveUp(source.manager, outcome.jobId, attempt, LOST_FOR_GOOD, NO_FIGURES);
      }
      const again = await Promise.all(places.map(({ user, chat }) => turns.send(user, chat, budgets)));
      expect(again.filter(wasAccepted)).toHaveLength(10);
    },
  );

  it('that is exactly used up takes no turn; with a token less it takes one, whatever that turn reserves', async () => {
    const [first = '', second = '', third = ''] = await chatsOf('exact', 3);
    const sent = (await turns.send('exact', first, { tokensPerDay: 1 })) as Sent;
    await turns.begin(sent.jobId);
    await finish(source.manager, sent.jobId, 1, ENDED, used(40, 60));
    expect(await turns.send('exact', second, { tokensPerDay: 100 })).toBe('user_tokens');
    expect(await turns.send('exact', second, { costPerDay: 0.16 })).toBe('user_cost');
    expect(wasAccepted(await turns.send('exact', second, { tokensPerDay: 101 }))).toBe(true);
    expect(wasAccepted(await turns.send('exact', third, { costPerDay: 0.17 }))).toBe(true);
  });

  describe('gets back what a turn reserved', () => {
    const overdue = (jobId: string, set: string): Promise<unknown> =>
      source.query(`UPDATE jobs SET ${set} WHERE id = $1`, [jobId]);
    it.each<[string, (sent: Sent) => Promise<unknown>]>([
      [
        'that was answered',
        async ({ jobId }) => finish(source.manager, jobId, (await turns.begin(jobId)).attempt, ENDED, used(0, 0)),
      ],
      ['that was canceled before it began', ({ jobId, userId }) => cancel(source.manager, jobId, userId)],
      [
        'that its worker canceled',
        async ({ jobId }) =>
          cancelAttempt(
            source.manager,
            jobId,
            (await turns.begin(jobId)).attempt,
            { text: '', otherParts: null, windowFromSeq: null },
            used(0, 0),
          ),
      ],
      [
        'whose time was over',
        async ({ jobId }) => {
          await overdue(jobId, `created_at = now() - interval '2 hours'`);
          await endExpired(source.manager);
        },
      ],
      [
        'whose last worker died',
        async ({ jobId }) => {
          await turns.begin(jobId);
          await overdue(jobId, `lease_until = now() - interval '1 s', attempts_left = 0`);
          await endSpent(source.manager);
          // It is not known whether the call was made, so its prompt counts. The rest is free.
          await source.query('UPDATE model_calls SET input_tokens = 0 WHERE job_id = $1', [jobId]);
        },
      ],
      [
        'that waited in vain for a person',
        async ({ jobId }) => {
          await overdue(
            jobId,
            `status = 'requires_action', action_since = now(), action_expires_at = now() - interval '1 s'`,
          );
          await endUndecided(source.manager);
        },
      ],
      ['whose chat was deleted', ({ chatId }) => source.transaction((inside) => release(inside, [chatId]))],
    ])('%s', async (how, end) => {
      const slug = await turns.assistant(RESERVED_COST);
      const sent = await turns.send(how, await turns.chat(how, slug), { ofAssistants: true });
      const other = await turns.chat('another', slug);
      expect(await turns.send('another', other, { ofAssistants: true })).toBe('assistant_cost');
      await end(sent as Sent);
      expect(
        (await source.query('SELECT status FROM jobs WHERE id = $1', [(sent as Sent).jobId]))[0].status,
      ).not.toMatch(/queued|running|requires/);
      expect(await usageOfAssistant(slug)).toEqual({ cost: 0, reserved: 0 });
      expect(wasAccepted(await turns.send('another', other, { ofAssistants: true }))).toBe(true);
    });
  });

  it('counts a running turn once: with its reserve, or with its calls if they have used more', async () => {
    const [chat = ''] = await chatsOf('once', 1);
    const { jobId } = (await turns.send('once', chat, { tokensPerDay: 1_000, costPerDay: 1_000 })) as Sent;
    expect(await usageOfUser('once')).toEqual({
      tokens: 0,
      reserved_tokens: RESERVED_TOKENS,
      cost: 0,
      reserved_cost: RESERVED_COST,
    });
    await turns.begin(jobId);
    const report = (news: ReturnType<typeof used>) =>
      extend(source.manager, [{ jobId, attempt: 1, step: 1, text: '', at: 0, news }]);
    await report(used(30, 1));
    expect(await usageOfUser('once')).toMatchObject({ tokens: 31, reserved_tokens: RESERVED_TOKENS - 31 });
    await report(used(30, 500));
    expect(await usageOfUser('once')).toMatchObject({ tokens: 530, reserved_tokens: 0 });
    // An attempt that ended has its cost, and the next one goes on with the rest of the reserve.
    await handBack(source.manager, jobId, 1, used(30, 10), { uptimeSeconds: 1, stoppingSeconds: 0 });
    const { cost, reserved_cost: rest } = await usageOfUser('once');
    expect(cost).toBeCloseTo(0.05);
    expect(rest).toBeCloseTo(RESERVED_COST - 0.05);
  });

  it('does not stop a turn that exceeds it, and takes no other after it', async () => {
    const slug = await turns.assistant(1);
    const { jobId } = (await turns.send('greedy', await turns.chat('greedy', slug), { ofAssistants: true })) as Sent;
    await turns.begin(jobId);
    expect(await finish(source.manager, jobId, 1, ENDED, used(10, 5_000))).toBeDefined();
    expect((await usageOfAssistant(slug)).cost).toBe(10.01);
    expect(await turns.send('next', await turns.chat('next', slug), { ofAssistants: true })).toBe('assistant_cost');
    await source.query('UPDATE assistants SET cost_per_day = NULL WHERE slug = $1', [slug]);
    expect(wasAccepted(await turns.send('later', await turns.chat('later', slug), { ofAssistants: true }))).toBe(true);
  });

  it('counts a turn that an operator puts back, which no budget refuses', async () => {
    const slug = await turns.assistant(RESERVED_COST);
    const { jobId } = (await turns.send('back', await turns.chat('back', slug), { ofAssistants: true })) as Sent;
    await turns.begin(jobId);
    await giveUp(source.manager, jobId, 1, LOST_FOR_GOOD, used(50, 50));
    expect(await usageOfAssistant(slug)).toEqual({ cost: 0.15, reserved: 0 });
    await source.query('UPDATE assistants SET cost_per_day = 0.1 WHERE slug = $1', [slug]);
    expect(await requeue(source.manager, jobId)).toBe(1);
    // The calls before count as spent, and not against the new reserve.
    expect(await usageOfAssistant(slug)).toEqual({ cost: 0.15, reserved: RESERVED_COST });
  });

  it('has the cost of a call on the day on which the call began, to the last correction', async () => {
    const slug = await turns.assistant(1);
    const { jobId, userId } = (await turns.send('late', await turns.chat('late', slug), {
      ofAssistants: true,
    })) as Sent;
    await turns.begin(jobId);
    await source.query(`UPDATE model_calls SET started_at = this_day() - interval '1 s' WHERE job_id = $1`, [jobId]);
    const days = async (): Promise<Record<string, number>> => {
      const rows = await source.query(
        `SELECT (this_day() AT TIME ZONE 'UTC')::date - day AS ago, sum(cost) AS cost FROM spending WHERE assistant_slug = $1 GROUP BY day`,
        [slug],
      );
      return Object.fromEntries(rows.map((row: { ago: number; cost: string }) => [row.ago, Number(row.cost)]));
    };
    // The worker does not answer, so the API ends the call with an estimate; then the worker settles it.
    await cancel(source.manager, jobId, userId);
    expect(await days()).toEqual({ 1: 0.001 });
    await settleCall(source.manager, jobId, 1, 1, used(100, 200));
    expect(await days()).toEqual({ 1: 0.5 });
    await settleCall(source.manager, jobId, 1, 1, used(100, 50));
    expect(await days()).toEqual({ 1: 0.2 });
    // A call that cost nothing after all.
    await settleCall(source.manager, jobId, 1, 1, NO_FIGURES);
    expect(await days()).toEqual({ 1: 0 });
    expect(await usageOfAssistant(slug)).toEqual({ cost: 0, reserved: 0 });
    await source.query(
      `INSERT INTO spending SELECT (this_day() AT TIME ZONE 'UTC')::date - n, $1, 0, 1 FROM generate_series(5, 9) n`,
      [slug],
    );
    await purgeSpending(source.manager);
    expect(Object.keys(await days())).toEqual(['1', '5', '6', '7']);
  });

  it('costs a turn no further round trip, and a refused one none but that which gives the minute back', async () => {
    const slug = await turns.assistant(RESERVED_COST);
    const [first, second] = [await turns.chat('trip', slug), await turns.chat('tripped', slug)];
    let asked = 0;
    const manager = { query: (...args: [string, unknown[]]) => ((asked += 1), source.query(...args)) };
    const counted = new BudgetedTurns({ manager } as unknown as DataSource);
    const budgets = { tokensPerDay: 1e9, costPerDay: 1e9, ofAssistants: true };
    expect(wasAccepted(await counted.send('trip', first, budgets))).toBe(true);
    expect(asked).toBe(1);
    expect(await counted.send('tripped', second, budgets)).toBe('assistant_cost');
    expect(asked).toBe(2);
    expect(await counted.send('tripped', second, budgets, { ...NO_LIMITS, turnsPerMinute: 9 })).toBe('assistant_cost');
    expect(asked).toBe(4);
  });

  it('that refuses a turn leaves the user’s minute as it was', async () => {
    const [chat = ''] = await chatsOf('minute', 1);
    const limits = { ...NO_LIMITS, turnsPerMinute: 2 };
    const { jobId } = (await turns.send('minute', chat, { tokensPerDay: 1 }, limits)) as Sent;
    await turns.begin(jobId);
    await finish(source.manager, jobId, 1, ENDED, used(1, 1));
    for (let n = 0; n < 5; n++)
      expect(await turns.send('minute', chat, { tokensPerDay: 2 }, limits)).toBe('user_tokens');
    expect(wasAccepted(await turns.send('minute', chat, { tokensPerDay: 3 }, limits))).toBe(true);
  });

  it('reserves for a long chat what its last prompt had, and for a new one what its definition is long', async () => {
    const slug = await turns.assistant(null);
    await source.query(
      `UPDATE assistants SET system_prompt = repeat('x', 4000), version = version + 1 WHERE slug = $1`,
      [slug],
    );
    const reserved = async (jobId: string): Promise<number> =>
      Number((await source.query('SELECT reserved_tokens FROM jobs WHERE id = $1', [jobId]))[0].reserved_tokens);
    const chat = await turns.chat('long', slug);
    const first = (await turns.send('long', chat, { tokensPerDay: 1e9 })) as Sent;
    expect(await reserved(first.jobId)).toBe(1_000 + 1 + 100);
    await turns.begin(first.jobId);
    await finish(source.manager, first.jobId, 1, { ...ENDED, contextTokens: 750 }, used(700, 50));
    const second = (await turns.ask('long', chat, { tokensPerDay: 1e9 })) as Sent;
    expect(await reserved(second.jobId)).toBe(750 + 1 + 100);
  });
});
