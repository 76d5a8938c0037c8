import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MovingAddress } from '../support/moving-address.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { imbalances, sweep } from '../support/sweep.js';
import { assistantsWith, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';
import { type Fate, gateOf, type Moment, MOMENTS, promised } from './moments.js';
import { TurnsAtMoments } from './turns-at-moments.js';

/** Longer than a worker waits before it tries a write again. */
const AWAY_MS = 1_000;

describe('turns of five steps with parallel calls, one at each moment of a turn', () => {
  let stack: Stack;
  let tools: Tools;
  let turns: TurnsAtMoments;
  /** The workers' way to PostgreSQL. */
  let way: MovingAddress | undefined;
  beforeAll(async () => {
    tools = await startTools();
    const ASSISTANTS_FILE = await assistantsWith([
      httpTool(tools, 'find_order', { repeatable: true, timeout_seconds: 300 }),
      httpTool(tools, 'place_order', { timeout_seconds: 300 }),
    ]);
    stack = await startStack({
      ownPostgres: true,
      through: async (app, { DATABASE_URL }): Promise<Record<string, string>> => {
        if (app === 'api') return {};
        const address = new URL(DATABASE_URL);
        way ??= await MovingAddress.start(Number(address.port));
        address.port = String(way.port);
        return { DATABASE_URL: address.href };
      },
      env: {
        TOOLS_SECRET,
        ASSISTANTS_FILE,
        WORKER_DRAIN_SECONDS: '0',
        // All turns run in one worker, and many of its statements wait.
        WORKER_CONCURRENCY: '100',
        TOOL_CALLS_AT_ONCE: '1000',
        DATABASE_POOL_SIZE: '40',
        MODEL_IDLE_SECONDS: '600',
      },
    });
    turns = await TurnsAtMoments.on(stack, tools);
  });
  afterAll(async () => {
    await tools?.stop();
    await stack?.stop();
    await way?.stop();
  });

  const worker = (): App => stack.workers.at(-1) as App;
  /** Lets the leases of dead workers run out, which takes ten seconds. */
  const expireLeases = async (): Promise<void> => {
    await stack.database.query(`UPDATE jobs SET lease_until = now() WHERE status = 'running'`);
  };
  const balanced = async (): Promise<void> => {
    // Connections of the test's own pool may have ended with PostgreSQL.
    expect(await until(() => imbalances(stack).catch(() => undefined), 'PostgreSQL')).toEqual([]);
  };
  const stores = async (what: 'kill' | 'restart'): Promise<void> => {
    await Promise.all([stack.redis?.[what](), stack.postgres?.[what]()]);
  };
  /** The moments of those turns that have had more than one attempt. */
  const begunAgain = async (): Promise<string[]> => {
    const { rows } = await stack.database.query<{ user_id: string }>('SELECT user_id FROM jobs WHERE attempts > 1');
    return turns.namesOf(rows.map(({ user_id }) => user_id));
  };
  const expectKept = async (moments: readonly Moment[], fate: Fate): Promise<void> => {
    const expected = Object.fromEntries(moments.map((moment) => [moment.name, promised(moment, fate)]));
    expect(await turns.courses()).toEqual(expected);
    expect(await sweep(stack)).toEqual([]);
  };

  it('keep their promises if the worker is killed, and PostgreSQL carries out what it had sent', async () => {
    await turns.bring('killed', MOMENTS);
    await balanced();
    const next = stack.startWorker();
    await worker().kill();
    await balanced();
    await turns.gates.open();
    await balanced();
    stack.workers.push(await next);
    await expireLeases();
    await expectKept(MOMENTS, 'carried out');
  });

  it('keep their promises if the worker is killed while PostgreSQL and Redis are, and what it had sent is lost', async () => {
    // Only a statement has another fate than in the first test.
    const moments = MOMENTS.filter((moment) => gateOf(moment) !== undefined || moment.step === 3);
    await turns.bring('all killed', moments);
    await stores('kill');
    await worker().kill();
    await stores('restart');
    await turns.gates.gone();
    await balanced();
    stack.workers.push(await stack.startWorker());
    await expireLeases();
    await expectKept(moments, 'lost');
  });

  it('keep their promises if the worker stops', async () => {
    // If a claim comes back while the worker stops, the attempt may go on for a while.
    const moments = MOMENTS.filter(({ at }) => at !== 'claim');
    await turns.bring('stopped', moments);
    const held = moments.filter(({ at }) => at === 'sent').length;
    const before = tools.aborted();
    const stopping = worker();
    const ended = stopping.stop();
    const next = stack.startWorker();
    await until(async () => tools.aborted() >= before + held, 'the end of the requests to tools');
    await balanced();
    await turns.gates.open();
    expect(await ended).toBe(0);
    await balanced();
    stack.workers.push(await next);
    await expectKept(moments, 'carried out');
  });

  /** The moments at which the model is not at work. */
  const BESIDE_THE_MODEL = MOMENTS.filter(({ at }) => at !== 'asked' && at !== 'answering');

  it('ask for nothing twice if the worker loses its connections, and PostgreSQL carries out what it had sent', async () => {
    await turns.bring('cut', BESIDE_THE_MODEL);
    way?.cut();
    turns.release();
    // The worker sends each write again, behind the one that waits.
    await pause(AWAY_MS);
    await turns.gates.open();
    await balanced();
    // Nobody runs the attempt whose claim got lost.
    await expireLeases();
    await expectKept(BESIDE_THE_MODEL, 'lives');
    expect(await begunAgain()).toEqual(['the claim']);
  });

  it('ask for nothing twice if PostgreSQL and Redis go away, tools answer meanwhile, and the worker lives', async () => {
    await turns.bring('away', BESIDE_THE_MODEL);
    await stores('kill');
    turns.release();
    await pause(AWAY_MS);
    await stores('restart');
    await turns.gates.gone();
    await balanced();
    await expectKept(BESIDE_THE_MODEL, 'lives');
    expect(await begunAgain()).toEqual([]);
  });
});
