import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCursor } from '../apps/api/src/http/cursor.js';
import { lengthen } from '../test/support/long-chat.js';
import { type Stack, startStack } from '../test/support/stack.js';

/*
 * `npm run bench -- long-chat [MESSAGES]`: compares a chat of a million messages with one of a hundred, in one run: pages at each depth, a
 * turn, and the list. Also measures how long export and deletion of the long chat take. It starts all it needs; writing the chat takes a
 * minute or two. Ends with 1 when something costs several times as much as in the short chat.
 */

const SHORT = 100;
const ROUNDS = 100;

/** The largest ratio of medians that noise may cause on a shared machine. */
const LARGEST_RATIO = 2.5;

const [asked = '1000000'] = process.argv.slice(2);
const messages = Number(asked);
if (!/^\d{3,8}$/.test(asked) || messages < SHORT) {
  console.error('npm run bench -- long-chat [MESSAGES, 100 at least]');
  process.exit(2);
}

/**
 * Does the works alternately, many times, so that other load on the machine affects all of them alike. @returns the medians, in
 * milliseconds
 */
async function medians(works: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const took = works.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [n, work] of works.entries()) {
      const begun = performance.now();
      await work();
      took[n]?.push(performance.now() - begun);
    }
  }
  return took.map((times) => times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0);
}

const say = (what: string, figures: string): void => console.log(`${what.padEnd(44)}${figures}`);

/** Measures the same in both chats. @returns the long one costs about as much as the short one */
async function compare(what: string, works: readonly [string, () => Promise<unknown>][]): Promise<boolean> {
  const [base = 0, ...others] = await medians(works.map(([, work]) => work));
  say(`${what}, ${works[0]?.[0] ?? ''}`, `${base.toFixed(1)} ms`);
  let fair = true;
  for (const [n, median] of others.entries()) {
    const ratio = median / base;
    fair &&= ratio < LARGEST_RATIO;
    say(`${what}, ${works[n + 1]?.[0] ?? ''}`, `${median.toFixed(1)} ms, ${ratio.toFixed(2)} times that`);
  }
  return fair;
}

async function measure(stack: Stack): Promise<void> {
  const [long, short] = [stack.as('long'), stack.as('short')];
  const [longChat, shortChat] = [(await long.chat()).id, (await short.chat()).id];
  const begun = Date.now();
  await lengthen(stack.database, shortChat, SHORT / 2);
  await lengthen(stack.database, longChat, Math.floor(messages / 2));
  say(`a chat of ${messages} messages made`, `${((Date.now() - begun) / 1000).toFixed(0)} s`);

  const half = Math.floor(messages / 2);
  const page = (
    where: string,
    [user, chat]: readonly [typeof long, string],
    ...from: [direction?: string, seq?: number]
  ): [string, () => Promise<unknown>] => {
    const [direction, seq] = from;
    const cursor = direction && `&${direction}=${encodeCursor(`messages ${chat}`, String(seq))}`;
    const path = `/api/v1/chats/${chat}/messages?limit=50${cursor ?? ''}`;
    return [[...from, where].join(' '), () => user.get(path)];
  };
  const inShort = [short, shortChat] as const;
  const inLong = [long, longChat] as const;
  const newest = await compare('page', [page('newest, short chat', inShort), page('newest, long chat', inLong)]);
  const before = await compare('page', [
    page('in the short chat', inShort, 'before', 60),
    page('in the long chat', inLong, 'before', 60),
    page('in the long chat', inLong, 'before', half),
  ]);
  const after = await compare('page', [
    page('in the short chat', inShort, 'after', 1),
    page('in the long chat', inLong, 'after', 1),
    page('in the long chat', inLong, 'after', half),
    page('in the long chat', inLong, 'after', messages - 60),
  ]);
  const turns = await compare('turn', [
    ['in the short chat', () => short.turn(shortChat, 'and now?')],
    ['in the long chat', () => long.turn(longChat, 'and now?')],
  ]);
  const retrieved = await compare('chat retrieved', [
    ['the short one', () => short.chat()],
    ['the long one', () => long.chat()],
  ]);
  if (!newest || !before || !after || !turns || !retrieved) {
    console.log('The long chat costs more than the short one.');
    process.exitCode = 1;
  }

  const exporting = performance.now();
  const response = await fetch(`${stack.api.url}/api/v1/me/export`, {
    headers: { authorization: `Bearer ${long.token ?? ''}` },
  });
  let bytes = 0;
  for await (const part of response.body ?? []) bytes += part.length;
  say('export', `${((performance.now() - exporting) / 1000).toFixed(1)} s, ${(bytes / 1e6).toFixed(0)} MB`);

  const deleting = performance.now();
  const { status } = await long.request('DELETE', `/api/v1/chats/${longChat}`);
  say('deleted', `${status} after ${((performance.now() - deleting) / 1000).toFixed(1)} s`);
  const other = await medians([() => short.turn(shortChat, 'and meanwhile?')]);
  say('turn in the short chat, while rows go', `${(other[0] ?? 0).toFixed(1)} ms`);
  const { rows } = await stack.database.query('SELECT last_seq FROM chats WHERE id = $1', [longChat]);
  const left = (rows[0]?.last_seq as number | undefined) ?? 0;
  await sleep(10_000);
  const { rows: later } = await stack.database.query('SELECT last_seq FROM chats WHERE id = $1', [longChat]);
  say('rows go', `${((left - ((later[0]?.last_seq as number | undefined) ?? 0)) / 10).toFixed(0)} messages a second`);
}

const stack = await startStack({ ownPostgres: true });
try {
  await measure(stack);
} finally {
  await stack.stop();
}
