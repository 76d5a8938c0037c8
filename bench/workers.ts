import type { Stack } from '../test/support/stack.js';
import { tokenFor } from '../test/support/stack.js';
import { percentile } from './percentile.js';
import { type Store, STORE_NAMES, storesHere, withStack } from './with-stack.js';

/*
 * `npm run bench -- workers [ROUNDS] [postgres|redis]`: compares four worker processes with one. Each has few slots, and the model takes
 * its time. So slots limit a worker, as with a real model, and not the cores, which all processes share here. The two sides alternate. It
 * starts all it needs, on each store in turn. Ends with 1 when a turn was lost.
 */

const MANY = 4;
/** How many times as many turns four workers must finish. */
const GOAL = 3;

/** The slots of each worker, and the time of a reply in milliseconds. So one worker finishes at most 16 turns a second. */
const SLOTS = 8;
const REPLY_MS = 500;

/** Clients that send one turn after the other: more than there are slots; and the length of a round, in milliseconds. */
const CLIENTS = 2 * MANY * SLOTS;
const ROUND_MS = 10_000;

const [asked = '3', only] = process.argv.slice(2);
const rounds = Number(asked);
if (!/^[1-9]\d{0,2}$/.test(asked) || ![undefined, 'postgres', 'redis'].includes(only)) {
  console.error('npm run bench -- workers [ROUNDS, 999 at most] [postgres|redis]');
  process.exit(2);
}

interface Client {
  readonly url: string;
  readonly headers: Record<string, string>;
}

/** All clients send turns and wait for the replies. @returns the times of the turns that ended in the round, in milliseconds */
async function round(clients: readonly Client[]): Promise<number[]> {
  const until = performance.now() + ROUND_MS;
  const took: number[] = [];
  const talk = async ({ url, headers }: Client): Promise<void> => {
    while (performance.now() < until) {
      const begun = performance.now();
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ user_message: 'take time' }) });
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`A turn was answered ${answer.status}.`);
      const now = performance.now();
      if (now < until) took.push(now - begun);
    }
  };
  await Promise.all(clients.map(talk));
  return took;
}

async function measure(stack: Stack): Promise<boolean> {
  await stack.model.script('take time', { delay_ms: REPLY_MS });
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n): Promise<Client> => {
      const { id } = await stack.as(`user-${n}`).chat();
      const headers = { authorization: `Bearer ${tokenFor(`user-${n}`)}`, 'content-type': 'application/json' };
      return { url: `${stack.api.url}/api/v1/chats/${id}/turns`, headers };
    }),
  );
  const worker = () => stack.startWorker({ WORKER_CONCURRENCY: String(SLOTS) });
  await worker();
  // The first round is for plans, connections and compilers.
  await round(clients);
  const sides = { one: [] as number[], many: [] as number[] };
  for (let n = 0; n < rounds; n++) {
    sides.one.push(...(await round(clients)));
    const others = await Promise.all(Array.from({ length: MANY - 1 }, worker));
    sides.many.push(...(await round(clients)));
    await Promise.all(others.map((other) => other.stop()));
  }
  const say = (name: string, times: number[]): void =>
    console.log(
      `${name.padEnd(16)}${((times.length * 1_000) / (rounds * ROUND_MS)).toFixed(1)} turns a second; each took p50 ` +
        `${percentile(times, 0.5).toFixed(0)}, p99 ${percentile(times, 0.99).toFixed(0)} ms`,
    );
  say('one worker', sides.one);
  say(`${MANY} workers`, sides.many);
  const ratio = sides.many.length / sides.one.length;
  console.log(`${MANY} get ${ratio.toFixed(2)} times as many done as one${ratio < GOAL ? ' (below the goal)' : ''}`);
  const { rows } = await stack.database.query<{ other: number }>(
    `SELECT count(*)::int AS other FROM jobs WHERE status <> 'succeeded' OR attempts <> 1`,
  );
  return rows[0]?.other === 0;
}

console.log(
  `${CLIENTS} clients; ${SLOTS} slots a worker, a reply takes ${REPLY_MS} ms. The goal is ${GOAL} times as many turns.`,
);
for (const store of only === undefined ? storesHere() : [only as Store]) {
  console.log(`\nThe queue on ${STORE_NAMES[store]}`);
  if (!(await withStack(store, { ownPostgres: 'durable', workers: 0 }, measure))) process.exitCode = 1;
}
