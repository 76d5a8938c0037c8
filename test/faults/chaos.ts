import { checkBill } from '../support/bill-check.js';
import { Client } from '../support/client.js';
import { PRICES } from '../support/priced-assistants.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { sweep } from '../support/sweep.js';
import type { Fleet } from './fleet.js';
import { Killer } from './killer.js';
import { Load } from './load.js';
import { Random } from './random.js';
import type { SeenTurn } from './user.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly users: number;
  /** The load goes on for this many milliseconds, and until it has sent this many turns. */
  readonly forMs: number;
  readonly turns: number;
  /** Tells this round from others of the same fleet. */
  readonly name: string;
  /** Ends the load early. */
  readonly signal?: AbortSignal;
}

/** The result of a round. */
export interface ChaosReport {
  readonly seed: number;
  readonly turns: number;
  readonly canceled: number;
  /** Calls that were repeated. */
  readonly repeated: number;
  readonly attemptsLost: number;
  readonly deeds: readonly string[];
  readonly violations: readonly string[];
}

/** Puts a fleet under load, harms it at random meanwhile, and then checks all that is left. @returns undefined when it was ended early */
export async function chaos(fleet: Fleet, options: ChaosOptions): Promise<ChaosReport | undefined> {
  const random = new Random(options.seed);
  const end = Date.now() + options.forMs;
  const over = (turns: number): boolean =>
    options.signal?.aborted === true || (Date.now() > end && turns >= options.turns);
  const load = new Load({
    urls: fleet.urls,
    users: options.users,
    name: options.name,
    random: random.fork(1_000),
    enough: over,
    signal: options.signal,
  });
  const killer = new Killer(fleet, random.fork(2_000), () => over(load.sent));
  killer.start();
  await load.run();
  await killer.stop();
  if (options.signal?.aborted) return undefined;
  const violations = [
    ...load.violations.map((violation) => withLog(fleet, violation)),
    ...killer.violations,
    ...(await sweep(fleet.stack)),
    ...(await unbilled(fleet)),
    ...(await stillReserved(fleet.stack)),
    ...(await untrue(fleet.stack, load.turns)),
    ...(await wronglyExhausted(fleet.stack, load.turns)),
  ];
  const { rows } = await fleet.stack.database.query<{ n: number }>(
    `SELECT coalesce(sum(attempts - 1), 0)::int AS n FROM jobs WHERE id = ANY($1) AND attempts > 1`,
    [load.turns.map(({ jobId }) => jobId)],
  );
  return {
    seed: options.seed,
    turns: load.turns.length,
    canceled: load.turns.filter(({ status }) => status === 'canceled').length,
    repeated: load.repeated,
    attemptsLost: rows[0]?.n ?? 0,
    deeds: killer.deeds,
    violations,
  };
}

/** Compares ledger, usage and costs with what the model billed. @returns every difference, in words */
export async function unbilled({ stack, urls }: Pick<Fleet, 'stack' | 'urls'>): Promise<string[]> {
  const operator = new Client(urls[0] ?? '', tokenFor('operator', { scope: 'admin' }));
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  const { status, body } = await operator.get(`/api/v1/admin/usage?from=${yesterday}&group_by=day`);
  if (status !== 200) return [`usage answers ${status}`];
  const bill = await stack.model.bill();
  const checked = await checkBill({ database: stack.database, bill, prices: PRICES, usage: body.data });
  // Otherwise the comparison would show little.
  const few = checked.exact < checked.estimated ? [`only ${checked.exact} calls have exact figures`] : [];
  if (bill.total.cache_read_input_tokens === 0) few.push('nothing was read from the cache');
  return [...checked.faults, ...few].map((what) => `the bill: ${what}`);
}

/** What ended turns have left reserved, in words. */
export async function stillReserved(stack: Stack): Promise<string[]> {
  const { rows } = await stack.database.query<{ what: string }>(
    `SELECT format('user %s: %s', u.user_id, (SELECT user_usage(u.user_id))) AS what FROM (SELECT DISTINCT user_id FROM jobs) u
      WHERE (user_usage(u.user_id)).reserved_tokens > 0 OR (user_usage(u.user_id)).reserved_cost > 0
      UNION ALL
     SELECT format('assistant %s: %s', slug, assistant_usage(slug)) FROM assistants WHERE (assistant_usage(slug)).reserved_cost > 0
      UNION ALL
     SELECT 'no turn has reserved anything' WHERE NOT EXISTS (SELECT FROM jobs WHERE reserved_tokens > 0 AND reserved_cost > 0)`,
  );
  return rows.map(({ what }) => `the budgets: ${what}`);
}

/** The share of turns that may lose all their attempts to the killer. */
const EXHAUSTED_AT_MOST = 0.03;

/** A turn may end as exhausted only if each of its five attempts was lost, and few may. @returns every other one, in words */
async function wronglyExhausted(stack: Stack, turns: readonly SeenTurn[]): Promise<string[]> {
  const ids = turns.filter(({ status }) => status === 'failed').map(({ jobId }) => jobId);
  const { rows } = await stack.database.query<{ id: string; outcomes: string[] }>(
    `SELECT job_id AS id, array_agg(outcome ORDER BY attempt) AS outcomes FROM model_calls WHERE job_id = ANY($1) GROUP BY job_id
     HAVING count(*) <> 5 OR NOT bool_and(outcome = 'lost')`,
    [ids],
  );
  const wrong = rows.map(({ id, outcomes }) => `job ${id} is exhausted after ${outcomes.join(', ')}`);
  return ids.length <= Math.ceil(turns.length * EXHAUSTED_AT_MOST)
    ? wrong
    : [...wrong, `${ids.length} of ${turns.length} turns lost all their attempts`];
}

function withLog(fleet: Fleet, violation: string): string {
  const [, requestId] = /"request_id":"([^"]+)"/.exec(violation) ?? [];
  const lines = requestId === undefined ? [] : fleet.linesOf(requestId);
  return [violation, ...lines].join('\n    ');
}

/** Compares what clients saw with the database. @returns every difference, in words */
export async function untrue(stack: Stack, turns: readonly SeenTurn[]): Promise<string[]> {
  const { rows } = await stack.database.query<{ text: string; id: string; status: string; reply: string | null }>(
    `SELECT q.content AS text, j.id, j.status, a.content AS reply
       FROM messages q JOIN jobs j ON j.user_message_id = q.id LEFT JOIN messages a ON a.job_id = j.id
      WHERE q.content = ANY($1)`,
    [turns.map(({ text }) => text)],
  );
  const found = new Map(rows.map((row) => [row.text, row]));
  return turns.flatMap(({ text, jobId, status, reply }) => {
    const row = found.get(text);
    const same = row?.id === jobId && row.status === status && (row.reply ?? undefined) === reply;
    if (same) return [];
    return [`${text}: the client saw ${status} of job ${jobId}: ${reply}; the database has ${JSON.stringify(row)}`];
  });
}

/** A report as lines for people. */
export function inWords({ seed, turns, canceled, repeated, attemptsLost, deeds, violations }: ChaosReport): string {
  return [
    `seed ${seed}: ${turns} turns (${canceled} canceled), ${deeds.length} deeds, ${repeated} calls repeated, ` +
      `${attemptsLost} attempts begun anew, ${violations.length} violations`,
    ...deeds.map((deed) => `  ${deed}`),
    ...violations.map((violation) => `  VIOLATION ${violation}`),
  ].join('\n');
}
