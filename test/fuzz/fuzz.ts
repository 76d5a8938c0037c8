import { Agent } from 'node:http';
import fc from 'fast-check';
import pg from 'pg';
import type { Contract, ContractOperation } from '../support/contract.js';
import type { Stack } from '../support/stack.js';
import { Lane, type Page, SomeRequest, type Tally } from './lane.js';
import { type Plan, Requests } from './request.js';
import { World } from './world.js';

/** Settings for the stack: one user sends as much as many, and jobs are written into its database by the thousand. */
export const FUZZ_ENV = {
  USER_TURNS_PER_MINUTE: '0',
  USER_UNFINISHED_TURNS: '0',
  USER_OPEN_STREAMS: '0',
  UNFINISHED_TURNS: '0',
};

/** Operations that affect all users. They come first, when no other requests are sent. */
const ALONE: readonly string[] = ['updateDispatch'];

/** How many operations are tested at the same time. */
const AT_ONCE = 6;

export interface FuzzOptions {
  /** Requests for each operation. */
  readonly runs: number;
  readonly seed: number;
  /** The place of a known fault in the sequence of this seed. */
  readonly path?: string | undefined;
  /** Only this operation. */
  readonly only?: string | undefined;
  /** When to begin no more requests, on the clock of `Date.now`. Each operation has its share of the time until then. */
  readonly until?: number | undefined;
}

export interface FuzzReport {
  readonly tallies: ReadonlyMap<string, Tally>;
  /** Each fault with the smallest request that shows it, and the command that repeats it. */
  readonly faults: string[];
}

/** Sends requests for every operation of the contract. */
export async function fuzz(stack: Stack, contract: Contract, options: FuzzOptions): Promise<FuzzReport> {
  // The planner takes freshly filled tables for empty ones, and keeps such plans for a while.
  const database = new pg.Pool({ connectionString: stack.databaseUrl, max: AT_ONCE, options: '-c enable_seqscan=off' });
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const pages: Page[] = [];
  const tallies = new Map<string, Tally>();
  const faults: string[] = [];
  const chosen = contract.operations.filter(({ id }) => options.only === undefined || id === options.only);
  // The remaining operations share the remaining time.
  let left = chosen.length;
  const one = async (operation: ContractOperation): Promise<void> => {
    const time = options.until === undefined ? Infinity : Math.max(1_000, options.until - Date.now());
    const share = ALONE.includes(operation.id) ? time / left : (time * Math.min(AT_ONCE, left)) / left;
    left -= 1;
    const { tally, fault } = await new Fuzz(stack, database, contract, operation, agent, pages).run(options, share);
    tallies.set(operation.id, tally);
    if (fault !== undefined) faults.push(fault);
  };
  for (const operation of chosen.filter(({ id }) => ALONE.includes(id))) await one(operation);
  // The last of them may have paused dispatch, and then nobody would get a reply.
  await database.query('UPDATE dispatch SET paused = false');
  // Operations that wait for a reply take longest, so they begin first.
  const line = chosen.filter(({ id }) => !ALONE.includes(id)).sort((a, b) => slowness(b) - slowness(a));
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = line.shift(); next !== undefined; next = line.shift()) await one(next);
    }),
  );
  agent.destroy();
  await database.end();
  return { tallies, faults };
}

const slowness = ({ method, path }: ContractOperation): number =>
  (path.endsWith('/turns') ? 4 : 0) + (path.endsWith('/events') ? 3 : 0) + (method === 'GET' ? 0 : 1);

/** The success statuses of an operation in the contract: 2xx and 304. */
export function successesOf({ statuses }: ContractOperation): number[] {
  return statuses.filter((status) => status < 400);
}

class Fuzz {
  constructor(
    private readonly stack: Stack,
    private readonly database: pg.Pool,
    private readonly contract: Contract,
    private readonly operation: ContractOperation,
    private readonly agent: Agent,
    private readonly pages: Page[],
  ) {}

  async run(options: FuzzOptions, ms: number): Promise<{ tally: Tally; fault: string | undefined }> {
    try {
      return await this.check(options, ms, false);
    } catch (error) {
      if (!(error instanceof SomeRequest)) throw error;
    }
    // One of many requests changed something. A look after each one finds which.
    return await this.check(options, ms, true);
  }

  private async check(
    options: FuzzOptions,
    ms: number,
    closely: boolean,
  ): Promise<{ tally: Tally; fault: string | undefined }> {
    const { runs, seed, path } = options;
    const world = await World.make(this.database, `${this.operation.id} ${closely ? 2 : 1}`);
    const lane = new Lane(this.stack, this.contract, this.operation, world, this.agent, this.pages, closely);
    let someRequest: SomeRequest | undefined;
    let underWay: Promise<void> | undefined;
    const property = fc.asyncProperty(new Requests(this.contract).of(this.operation), async (plan: Plan) => {
      if (someRequest !== undefined) return;
      try {
        underWay = lane.try(plan);
        await underWay;
      } catch (error) {
        if (!(error instanceof SomeRequest)) throw error;
        someRequest = error;
      }
    });
    const details = await fc.check(property, {
      seed,
      numRuns: runs,
      ...(path !== undefined && { path }),
      ...(ms !== Infinity && { interruptAfterTimeLimit: ms }),
    });
    // After the time is up, the last request must still end.
    await underWay?.catch(() => undefined);
    if (someRequest !== undefined) throw someRequest;
    await lane.end();
    if (details.counterexample === null) return { tally: lane.tally, fault: undefined };
    const { id, method, path: address } = this.operation;
    const again = `FUZZ_ONLY=${id} FUZZ_SEED=${seed} FUZZ_PATH=${details.counterexamplePath} npm run fuzz`;
    const broken = details.counterexample[0].broken.join('; ') || 'the contract allows it';
    const why = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance);
    const fault = `${id} (${method} ${address}), after ${details.numRuns} requests and ${details.numShrinks} steps to a smaller one\n${again}\n${broken}\n${why}`;
    return { tally: lane.tally, fault };
  }
}
