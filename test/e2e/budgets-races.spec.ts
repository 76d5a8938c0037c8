import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { release } from '#erasure/release.js';
import { cancel } from '#jobs/cancel.js';
import { claim, type ClaimedJob } from '#jobs/claim.js';
import { endOrphans, NO_FIGURES } from '#jobs/ledger.js';
import { endSpent } from '#jobs/reconcile.js';
import { finish, giveUp, handBack } from '#jobs/transitions.js';
import type { Budgets } from '#limits/budgets.js';
import { anySeed, Random } from '../faults/random.js';
import { BudgetedTurns, type Sent, wasAccepted, ENDED } from '../support/budgeted-turns.js';
import { type StatementsDatabase, startStatementsDatabase } from '../support/statements-database.js';

/** The same seed makes the same choices. */
const seed = Number(process.env['TEST_SEED'] ?? anySeed());

const FAULT = {
  steps: 0,
  code: 'model_rejected',
  message: 'no',
  definitionUnusable: false,
  leavesOut: false,
  free: false,
  delayMs: 0,
} as const;

/** Money in millionths. */
const micro = (amount: unknown): number => Math.round(Number(amount) * 1e6);

/** In millionths: a token of input, one that is written to the cache, and one of output. */
const [INPUT, WRITTEN, OUTPUT] = [1_000, 1_250, 2_000];
const LONGEST_REPLY = 100;

describe(`budgets, whatever happens to turns (seed ${seed})`, () => {
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

  const usage = async (slug: string): Promise<{ cost: number; reserved: number }> => {
    const [row] = await source.query('SELECT * FROM assistant_usage($1)', [slug]);
    return { cost: micro(row.cost), reserved: micro(row.reserved_cost) };
  };

  it('hold at every instant while turns are accepted, answered, tried again, canceled, lost and deleted at once, and nothing deadlocks', async () => {
    const random = new Random(seed);
    const BUDGET = 1;
    const slugs = [await turns.assistant(BUDGET), await turns.assistant(BUDGET)];
    const places: { user: string; chat: string; slug: string }[] = [];
    for (let n = 0; n < 20; n++) {
      for (const slug of slugs) places.push({ user: `user ${n}`, slug, chat: await turns.chat(`user ${n}`, slug) });
    }
    const end = Date.now() + 6_000;
    const errors: string[] = [];
    const accepted: Sent[] = [];
    const most: number[] = [];
    let refused = 0;
    let forks = 0;
    const repeat = async (name: string, work: (own: Random) => Promise<unknown>): Promise<void> => {
      const own = random.fork(forks++);
      while (Date.now() < end) {
        await work(own).catch((error: Error & { constraint?: string }) => {
          // Two turns of one chat at a moment, or a chat that was just deleted: the turn is refused.
          const isRefusal = error.constraint === 'jobs_one_unfinished' || error.message.includes('another obstacle');
          if (!isRefusal) errors.push(`${name}: ${error.message}`);
        });
      }
    };
    const send = (): Promise<void> =>
      repeat('send', async (own) => {
        const { user, chat } = own.pick(places);
        const sent = await turns.send(user, chat, { ofAssistants: true, tokensPerDay: 1e9, costPerDay: 1e9 });
        if (wasAccepted(sent)) accepted.push(sent);
        else refused += 1;
      });
    // Five attempts use less than the reserve.
    const endAttempt = async (own: Random, { id, attempt }: ClaimedJob): Promise<unknown> => {
      const figures = { ...NO_FIGURES, inputTokens: 1, outputTokens: Math.floor(own.between(0, 6)) };
      switch (own.weighted({ finish: 4, fail: 1, retry: 1, handBack: 1, lose: 1, hang: 0.2 })) {
        case 'finish':
          return finish(source.manager, id, attempt, ENDED, figures);
        case 'fail':
          return giveUp(source.manager, id, attempt, { ...FAULT, most: 1 }, figures);
        case 'retry':
          return giveUp(source.manager, id, attempt, { ...FAULT, most: 5 }, figures);
        case 'handBack':
          return handBack(source.manager, id, attempt, NO_FIGURES, { uptimeSeconds: 1, stoppingSeconds: 1 });
        case 'lose':
          return source.query(
            `UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1 AND attempts = $2 AND status = 'running'`,
            [id, attempt],
          );
        case 'hang':
          return undefined;
      }
    };
    const work = (): Promise<void> =>
      repeat('work', async (own) => {
        const lost = own.next() < 0.5 ? [] : accepted.slice(-20).map(({ jobId }) => jobId);
        const { jobs } = await claim(source.manager, { most: 1 + Math.floor(own.between(0, 7)), lost });
        await Promise.all(jobs.map((job) => endAttempt(own, job)));
        await pause(5);
      });
    const others = [
      repeat('cancel', async (own) => {
        await pause(20);
        const sent = accepted.length === 0 ? undefined : own.pick(accepted.slice(-10));
        if (sent !== undefined) await cancel(source.manager, sent.jobId, sent.userId);
      }),
      repeat('delete', async (own) => {
        await pause(50);
        const place = own.pick(places);
        await source.transaction(async (inside) => {
          await inside.query('SELECT FROM chats WHERE id = $1 FOR UPDATE', [place.chat]);
          await release(inside, [place.chat]);
        });
        place.chat = await turns.chat(place.user, place.slug);
      }),
      repeat('reconcile', async () => {
        await pause(20);
        await endSpent(source.manager);
        await endOrphans(source.manager);
      }),
      repeat('watch', async () => {
        for (const slug of slugs) {
          const { cost, reserved } = await usage(slug);
          most.push(cost + reserved);
        }
      }),
    ];
    await Promise.all([send(), send(), send(), send(), work(), work(), ...others]);
    expect(errors).toEqual([]);
    expect(refused).toBeGreaterThan(0);
    expect(accepted.length).toBeGreaterThan(20);
    // The largest reserve: prompts stay below 40 tokens.
    expect(Math.max(...most)).toBeLessThan(micro(BUDGET) + 40 * WRITTEN + LONGEST_REPLY * OUTPUT);
    expect(Math.max(...most)).toBeGreaterThanOrEqual(micro(BUDGET));
    for (const { jobId, userId } of accepted) await cancel(source.manager, jobId, userId);
    await source.query(`UPDATE model_calls SET started_at = started_at - interval '10 s' WHERE outcome = 'running'`);
    await endOrphans(source.manager);
    for (const slug of slugs) {
      const [ledger] = await source.query('SELECT sum(cost) AS cost FROM model_calls WHERE assistant_slug = $1', [
        slug,
      ]);
      expect({ slug, ...(await usage(slug)) }).toEqual({ slug, cost: micro(ledger.cost), reserved: 0 });
    }
  }, 60_000);

  it('decide as a simple model of them does', async () => {
    const random = new Random(seed + 1);
    const [TOKENS, COST, OF_ASSISTANT] = [260, 0.52, 0.45];
    const slugs = [
      await turns.assistant(OF_ASSISTANT),
      await turns.assistant(null),
      await turns.assistant(OF_ASSISTANT),
    ];
    interface Call {
      tokens: number;
      cost: number;
    }
    interface Place {
      readonly user: string;
      readonly slug: string;
      readonly chat: string;
      context: number;
      unanswered: number;
      /** `since`: when its attempt began; undefined: none runs. */
      job:
        | { id: string; attempt: number; since: number | undefined; tokens: number; cost: number; calls: Call[] }
        | undefined;
    }
    const places: Place[] = [];
    const spent = new Map<string, Call>();
    for (const user of ['ana', 'ben', 'cem']) {
      for (const slug of slugs) {
        places.push({ user, slug, chat: await turns.chat(user, slug), context: 0, unanswered: 0, job: undefined });
      }
    }
    const total = (calls: readonly Call[], of: keyof Call): number => calls.reduce((sum, call) => sum + call[of], 0);
    /** What is spent and reserved, of a user or of an assistant. */
    const taken = (key: string, is: (place: Place) => boolean, of: keyof Call): number =>
      (spent.get(key)?.[of] ?? 0) +
      places.filter(is).reduce((sum, { job }) => sum + (job ? Math.max(0, job[of] - total(job.calls, of)) : 0), 0);
    const decision = ({ user, slug }: Place, { tokensPerDay, costPerDay }: Budgets): string => {
      const ofUser = (of: keyof Call): number => taken(user, (place) => place.user === user, of);
      if (ofUser('tokens') >= (tokensPerDay ?? Infinity)) return 'user_tokens';
      if (ofUser('cost') >= micro(costPerDay ?? Infinity)) return 'user_cost';
      const has = slug !== slugs[1];
      const ofAssistant = taken(slug, (place) => place.slug === slug, 'cost');
      return has && ofAssistant >= micro(OF_ASSISTANT) ? 'assistant_cost' : 'accepted';
    };
    let today = 0;
    const decided: Record<string, number> = {};
    for (let step = 0; step < 400; step++) {
      const place = random.pick(places);
      const { job, user, slug } = place;
      if (job === undefined) {
        const budgets = {
          tokensPerDay: random.next() < 0.5 ? undefined : TOKENS,
          costPerDay: random.next() < 0.5 ? undefined : COST,
          ofAssistants: true,
        };
        const expected = decision(place, budgets);
        const sent = await turns.send(user, place.chat, budgets);
        const outcome = wasAccepted(sent) ? 'accepted' : sent;
        expect([step, outcome]).toEqual([step, expected]);
        decided[outcome] = (decided[outcome] ?? 0) + 1;
        if (!wasAccepted(sent)) continue;
        const prompt = place.context + Math.floor((5 * place.unanswered) / 4) + 1;
        // A turn reserves only what a budget needs.
        const needsCost = budgets.costPerDay !== undefined || slug !== slugs[1];
        place.unanswered += 1;
        place.job = {
          id: sent.jobId,
          attempt: 0,
          since: undefined,
          tokens: budgets.tokensPerDay === undefined ? 0 : prompt + LONGEST_REPLY,
          cost: needsCost ? prompt * WRITTEN + LONGEST_REPLY * OUTPUT : 0,
          calls: [],
        };
      } else if (job.since === undefined) {
        if (random.next() < 0.2) {
          await cancel(source.manager, job.id, user);
          place.job = undefined;
        } else {
          job.attempt = (await turns.begin(job.id)).attempt;
          job.since = today;
        }
      } else {
        const [input, output] = [Math.floor(random.between(0, 20)), Math.floor(random.between(0, 40))];
        const figures = { ...NO_FIGURES, inputTokens: input, outputTokens: output };
        const call = { tokens: input + output, cost: input * INPUT + output * OUTPUT };
        // A call counts for the day on which it began.
        if (job.since === today) {
          for (const key of [user, slug]) {
            const before = spent.get(key) ?? { tokens: 0, cost: 0 };
            spent.set(key, { tokens: before.tokens + call.tokens, cost: before.cost + call.cost });
          }
          job.calls.push(call);
        }
        job.since = undefined;
        const how = random.weighted({ finish: 2, fail: 1, handBack: 1 });
        if (how === 'handBack') {
          await handBack(source.manager, job.id, job.attempt, figures, { uptimeSeconds: 1, stoppingSeconds: 1 });
          continue;
        }
        place.job = undefined;
        if (how === 'fail') {
          await giveUp(source.manager, job.id, job.attempt, { ...FAULT, most: 1 }, figures);
        } else {
          await finish(source.manager, job.id, job.attempt, { ...ENDED, contextTokens: input + output }, figures);
          Object.assign(place, { context: input + output, unanswered: 0 });
        }
      }
      // A day has passed.
      if (random.next() < 0.02) {
        await source.query(`UPDATE model_calls SET started_at = started_at - interval '1 day'`);
        await source.query(`DELETE FROM spending`);
        spent.clear();
        today += 1;
        for (const { job } of places) job?.calls.splice(0);
      }
    }
    expect(Object.keys(decided).sort()).toEqual(['accepted', 'assistant_cost', 'user_cost', 'user_tokens']);
  }, 60_000);
});
