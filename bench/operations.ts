import type { Exchange, Round } from './load.js';
import { load } from './load.js';
import { ASSISTANT, type Starter, type Talker } from './seed.js';
import type { Side } from './sides.js';
import { until } from '../test/support/until.js';

/** Something that is measured on both sides. */
export interface Operation {
  readonly name: string;
  /** What the ratio to the ceiling is meant to be at least. */
  readonly goal: number;
  /** One round of about so many milliseconds. */
  run(side: Side, ms: number): Promise<Round>;
}

const CONNECTIONS = 16;

/** Clients that wait for replies, each in a chat of its own. */
const TALKING = 32;

/** Turns that are sent to find out how many a round is to have. */
const FIRST_TURNS = 64;

const JSON_BODY = { 'content-type': 'application/json' };

/** Requests one after the other of all talkers, without end. */
function inTurn<T>(of: readonly T[], make: (one: T) => Exchange): () => Exchange {
  const exchanges = of.map(make);
  let n = 0;
  return () => exchanges[n++ % exchanges.length] as Exchange;
}

function turn(side: Side, { user, chat }: Starter, asynchronous: boolean): Exchange {
  return {
    method: 'POST',
    path: `/api/v1/chats/${chat}/turns`,
    headers: { ...side.as(user), ...JSON_BODY, ...(asynchronous && { prefer: 'respond-async' }) },
    body: '{"user_message":"Where is my order, and when will it be here?"}',
    expect: asynchronous ? 202 : 200,
  };
}

const pagePath = (chat: string): string => `/api/v1/chats/${chat}/messages?limit=50`;

/** An operation that changes nothing, asked for all talkers in turn. */
function reading(name: string, goal: number, make: (side: Side, talker: Talker) => Exchange): Operation {
  return {
    name,
    goal,
    run: (side, ms) =>
      load(
        side.api.url,
        CONNECTIONS,
        ms,
        inTurn(side.seeds.talkers, (talker) => make(side, talker)),
      ),
  };
}

const upsert = reading('upsert of an existing chat', 0.6, (side, { user }) => ({
  method: 'POST',
  path: `/api/v1/assistants/${ASSISTANT}/chats`,
  headers: { ...side.as(user), ...JSON_BODY },
  body: '{}',
  expect: 200,
}));

const poll = reading('poll of a job', 0.6, (side, { user, job }) => ({
  method: 'GET',
  path: `/api/v1/jobs/${job}`,
  headers: side.as(user),
  expect: 200,
}));

const page = reading('page of 50 messages', 0.7, (side, { user, chat }) => ({
  method: 'GET',
  path: pagePath(chat),
  headers: side.as(user),
  expect: 200,
}));

const notModified: Operation = {
  name: 'the same, unchanged (304)',
  goal: 0.6,
  run: async (side, ms) => {
    const known = await Promise.all(
      side.seeds.talkers.map(async ({ user, chat }) => {
        const { headers } = await fetch(side.api.url + pagePath(chat), { headers: side.as(user) });
        return { user, chat, etag: headers.get('etag') ?? '' };
      }),
    );
    return load(
      side.api.url,
      CONNECTIONS,
      ms,
      inTurn(known, ({ user, chat, etag }) => ({
        method: 'GET',
        path: pagePath(chat),
        headers: { ...side.as(user), 'if-none-match': etag },
        expect: 304,
      })),
    );
  },
};

/** Accepting alone: the worker stands still, and what was accepted is taken away again. */
const accept: Operation = {
  name: 'accept a turn (202)',
  goal: 0.8,
  run: async (side, ms) => {
    side.worker.freeze();
    try {
      const starters = [...side.seeds.starters];
      return await load(side.api.url, CONNECTIONS, ms, () => {
        const next = starters.pop();
        return next && turn(side, next, true);
      });
    } finally {
      await side.database.query(
        `UPDATE jobs SET status = 'canceled', finished_at = now(), lease_until = NULL WHERE status IN ('queued', 'running')`,
      );
      side.worker.thaw();
      await side.emptyQueue();
    }
  },
};

/** Each client in a chat of its own, which grows, so others in each round. */
const waiting: Operation = {
  name: 'turns, waiting (200)',
  goal: 0.7,
  run: (side, ms) => {
    const talking = side.takeStarters(TALKING);
    return load(side.api.url, TALKING, ms, (n) => turn(side, talking[n] as Starter, false));
  },
};

/** Asynchronous turns that each side has ended in a second of its last round. */
const ended = new WeakMap<Side, number>();

/** From the first that is accepted to the last that has its reply. */
const asynchronous: Operation = {
  name: 'turns, asynchronous',
  goal: 0.7,
  run: async (side, ms) => {
    const begun = performance.now();
    const rate = ended.get(side);
    const talking = side.takeStarters(rate === undefined ? FIRST_TURNS : Math.ceil((ms / 1_000) * rate));
    const round = await load(side.api.url, CONNECTIONS, Infinity, () => {
      const next = talking.pop();
      return next && turn(side, next, true);
    });
    await until(async () => (await unfinished(side)) === 0, 'the end of all turns');
    const seconds = (performance.now() - begun) / 1_000;
    ended.set(side, round.times.length / seconds);
    return { ...round, seconds };
  },
};

async function unfinished({ database }: Side): Promise<number> {
  const { rows } = await database.query(`SELECT count(*)::int AS n FROM jobs WHERE status IN ('queued', 'running')`);
  return rows[0].n as number;
}

export const OPERATIONS: readonly Operation[] = [upsert, poll, page, notModified, accept, waiting, asynchronous];
