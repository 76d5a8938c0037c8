import { Agent, type IncomingMessage, request } from 'node:http';
import { type Stack, tokenFor } from '../test/support/stack.js';
import { percentile } from './percentile.js';
import { type Store, STORE_NAMES, storesHere, withStack } from './with-stack.js';

/*
 * `npm run bench -- first-piece [ROUNDS] [postgres|redis]`: how much later the first piece of a reply is seen through the service than in a
 * direct call of the model. One side sends turns and reads their events; the other calls the stand-in model with the same client. The sides
 * alternate. It starts all it needs, on each store in turn. Ends with 1 when a turn was lost.
 */

/** The goal for what the service adds, in milliseconds. */
const GOAL = { p50: 10, p99: 50 };

/** How many lanes work at the same time, and how many turns or calls each lane makes in a round. */
const LANES = [1, 16];
const TURNS = { 1: 60, 16: 15 } as const;

/** A reply that takes some time, like a real one: the number of pieces, and the milliseconds between them. */
const PIECES = 5;
const PIECE_EVERY_MS = 20;
const PIECE = 'some words, ';

const [asked = '6', only] = process.argv.slice(2);
const rounds = Number(asked);
if (!/^[1-9]\d{0,2}$/.test(asked) || ![undefined, 'postgres', 'redis'].includes(only)) {
  console.error('npm run bench -- first-piece [ROUNDS, 999 at most] [postgres|redis]');
  process.exit(2);
}

const agent = new Agent({ keepAlive: true });

interface Asked {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Sends a request and reads the whole answer. @returns milliseconds until `first` was seen in it, NaN if it never was */
function firstSeen({ url, headers, body }: Asked, first: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const asking = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } });
    asking.once('error', reject);
    asking.once('response', (answer: IncomingMessage) => {
      let [text, took] = ['', NaN];
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (Number.isNaN(took) && text.includes(first)) took = performance.now() - begun;
      });
      answer.once('end', () => resolve(took));
      answer.once('error', reject);
    });
    asking.end(body);
  });
}

/** Does `one` several times in each of `lanes` lanes at once. @returns all their times */
async function inLanes(lanes: number, one: (lane: number) => Promise<number>): Promise<number[]> {
  const took: number[] = [];
  const lane = async (n: number): Promise<void> => {
    for (let turn = 0; turn < TURNS[lanes as keyof typeof TURNS]; turn++) took.push(await one(n));
  };
  await Promise.all(Array.from({ length: lanes }, (_, n) => lane(n)));
  return took;
}

const direct = ({ model }: Stack) =>
  firstSeen(
    {
      url: new URL('/v1/messages', model.url),
      headers: { 'x-api-key': 'bench' },
      body: JSON.stringify({
        model: 'bench',
        max_tokens: 1_000,
        stream: true,
        messages: [{ role: 'user', content: 'speak' }],
      }),
    },
    '"text_delta"',
  );

/** Turns of users who have a chat each; a new chat in each round, so that none grows long. */
async function turnsOf(stack: Stack, users: readonly string[]): Promise<(lane: number) => Promise<number>> {
  const asked = await Promise.all(
    users.map(async (user): Promise<Asked> => {
      const { id } = await stack.as(user).chat();
      return {
        url: new URL(`/api/v1/chats/${id}/turns`, stack.api.url),
        headers: { authorization: `Bearer ${tokenFor(user)}`, accept: 'text/event-stream' },
        body: JSON.stringify({ user_message: 'speak' }),
      };
    }),
  );
  return (lane) => firstSeen(asked[lane] as Asked, 'event: delta\n');
}

async function measure(stack: Stack): Promise<boolean> {
  await stack.model.script('speak', { pieces: [PIECE], repeat: PIECES, piece_delay_ms: PIECE_EVERY_MS });
  let sent = 0;
  for (const lanes of LANES) {
    const took: { direct: number[]; ours: number[] } = { direct: [], ours: [] };
    // The first round is for plans, connections and compilers.
    for (let round = 0; round <= rounds; round++) {
      const users = Array.from({ length: lanes }, (_, n) => `user-${lanes}-${round}-${n}`);
      const turn = await turnsOf(stack, users);
      const now = { direct: await inLanes(lanes, () => direct(stack)), ours: await inLanes(lanes, turn) };
      sent += now.ours.length;
      if (now.ours.some(Number.isNaN)) return (console.log('A turn showed no text.'), false);
      if (round === 0) continue;
      took.direct.push(...now.direct);
      took.ours.push(...now.ours);
    }
    const added = (share: number): number => percentile(took.ours, share) - percentile(took.direct, share);
    const both = (times: number[]): string =>
      `p50 ${percentile(times, 0.5).toFixed(1)}, p99 ${percentile(times, 0.99).toFixed(1)}`;
    const kept = added(0.5) <= GOAL.p50 && added(0.99) <= GOAL.p99;
    console.log(
      `${`${lanes} at once, ${took.ours.length} of each`.padEnd(28)}model ${both(took.direct)}; turns ${both(took.ours)}; ` +
        `added p50 ${added(0.5).toFixed(1)}, p99 ${added(0.99).toFixed(1)} ms${kept ? '' : ' (above the goal)'}`,
    );
  }
  const { rows } = await stack.database.query<{ whole: number }>(
    `SELECT count(*)::int AS whole FROM jobs JOIN messages m ON m.job_id = jobs.id AND m.role = 'assistant'
      WHERE jobs.status = 'succeeded' AND jobs.attempts = 1 AND m.content = $1`,
    [PIECE.repeat(PIECES)],
  );
  const whole = rows[0]?.whole ?? 0;
  console.log(`${whole} of ${sent} turns ended with one attempt and their whole reply`);
  return whole === sent;
}

console.log(`Milliseconds until the first piece; the goal is ${GOAL.p50} added at p50, and ${GOAL.p99} at p99.`);
for (const store of only === undefined ? storesHere() : [only as Store]) {
  console.log(`\nThe queue on ${STORE_NAMES[store]}`);
  if (!(await withStack(store, { ownPostgres: 'durable' }, measure))) process.exitCode = 1;
}
agent.destroy();
