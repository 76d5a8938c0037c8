import fc from 'fast-check';

/*
 * The clients' possible steps, as data: fast-check makes, shrinks and prints them. A number names the chat or job of a step. It counts back
 * from the newest one that the clients know when the step is made.
 */

/** The ways in which a turn can end. The stand-in finds the word in its text (see `SCRIPTS`). */
export const KINDS = ['ok', 'slow', 'fail', 'refuse', 'hang'] as const;
export type Kind = (typeof KINDS)[number];

/** The stand-in's scripts for texts with such a word. The order matters, because a question may hold several messages. */
export const SCRIPTS: readonly (readonly [Kind, object])[] = [
  ['hang', { pieces: ['half ', 'a reply'], stall_after: 2 }],
  ['fail', { status: 400, error_type: 'invalid_request_error', message: 'scripted' }],
  ['refuse', { text: 'half refused', stop_reason: 'refusal', stop_details: { category: 'bio', explanation: null } }],
  ['slow', { text: 'a slow reply', delay_ms: 80 }],
];

export const mark = (kind: Kind): string => `[${kind}]`;

/** The name of a key, or none. There are few, so that keys come again. */
export type Key = 'k0' | 'k1' | 'k2' | undefined;

/** The precondition of a change: none, the newest known ETag, the one before it, or one that never existed. */
export type Match = 'none' | 'newest' | 'older' | 'any' | 'wrong';

/** The path to a chat: its own, its assistant's, or another assistant's. */
export type Way = 'plain' | 'scoped' | 'astray';

/** How long a request waits for a turn's end: not at all, for no time, or for longer than turns take that end by themselves. */
export type Waits = 'not' | 'now' | 'long';

/** The one who cancels. */
export type By = 'user' | 'operator';

export type Assistant = 'support' | 'billing';

export type ChatStatus = 'active' | 'archived' | 'closed';

export interface Change {
  readonly status?: ChatStatus;
  readonly title?: string | null;
  readonly metadata?: Record<string, string>;
}

export type Step =
  | { do: 'open'; assistant: Assistant; title: string | null; key: Key }
  | { do: 'change'; chat: number; change: Change; match: Match }
  | { do: 'delete'; chat: number; match: Match }
  | { do: 'message'; chat: number; kind: Kind; key: Key; way: Way }
  | { do: 'turn'; chat: number; kind: Kind; key: Key; way: Way; waits: Waits }
  | { do: 'reply'; chat: number; key: Key }
  | { do: 'again'; back: number; waits: Waits }
  | { do: 'cancel'; job: number; by: By }
  | { do: 'shelve'; chat: number; status: ChatStatus }
  | { do: 'requeue'; job: number }
  | { do: 'job'; job: number; waits: boolean; again: boolean }
  | { do: 'chat'; chat: number; again: boolean }
  | { do: 'page'; chat: number; limit: number; from: 'end' | 'before' | 'after'; way: Way }
  | { do: 'list'; assistant: Assistant | undefined; status: ChatStatus | undefined; limit: number }
  | {
      do: 'spy';
      chat: number;
      job: number;
      on: 'chat' | 'page' | 'turn' | 'message' | 'reply' | 'delete' | 'job' | 'cancel';
    }
  | { do: 'leave' };

/** A user's clients: the first steps come one after the other, and then those of each client at the same time as the others'. */
export interface Program {
  /** The program begins with an open chat. */
  readonly opened: boolean;
  readonly first: readonly Step[];
  readonly clients: readonly (readonly Step[])[];
}

const assistant = fc.constantFrom<Assistant>('support', 'billing');
const chat = fc.nat({ max: 3 });
const job = fc.nat({ max: 3 });
const kind = fc.constantFrom<Kind>('ok', 'ok', 'slow', 'slow', 'fail', 'fail', 'refuse', 'hang');
const key = fc.constantFrom<Key>(undefined, undefined, 'k0', 'k1', 'k2');
const way = fc.constantFrom<Way>('plain', 'plain', 'plain', 'plain', 'scoped', 'scoped', 'astray');
const match = fc.constantFrom<Match>('none', 'none', 'newest', 'older', 'any', 'wrong');
const title = fc.constantFrom('one', 'two', null);
const status = fc.constantFrom<ChatStatus>('active', 'archived', 'archived', 'closed');
const limit = fc.integer({ min: 1, max: 4 });
const waits = fc.constantFrom(false, false, true);
const ends = fc.constantFrom<Waits>('not', 'not', 'not', 'now', 'long', 'long');
const again = fc.boolean();
const opened = fc.constantFrom(true, true, true, false);

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ status }) },
  { weight: 2, arbitrary: fc.record({ title }) },
  {
    weight: 1,
    arbitrary: fc.record({
      metadata: fc.constantFrom<Record<string, string>>({}, { b: '1', a: '2' }, { a: '2', b: '1' }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ status, title }) },
);

const of = <Name extends Step['do']>(
  name: Name,
  fields: { [F in Exclude<keyof Extract<Step, { do: Name }>, 'do'>]: fc.Arbitrary<Extract<Step, { do: Name }>[F]> },
): fc.Arbitrary<Step> => fc.record({ do: fc.constant(name), ...fields }) as unknown as fc.Arbitrary<Step>;

/** Steps that are a single change or a single look each, so that they can be put into an order. */
const orderly: { weight: number; arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 4, arbitrary: of('open', { assistant, title, key }) },
  { weight: 4, arbitrary: of('change', { chat, change, match }) },
  { weight: 1, arbitrary: of('delete', { chat, match }) },
  { weight: 3, arbitrary: of('message', { chat, kind, key, way }) },
  { weight: 6, arbitrary: of('turn', { chat, kind, key, way, waits: ends }) },
  { weight: 3, arbitrary: of('reply', { chat, key }) },
  { weight: 3, arbitrary: of('again', { back: fc.nat({ max: 2 }), waits: ends }) },
  { weight: 4, arbitrary: of('cancel', { job, by: fc.constantFrom<By>('user', 'user', 'operator') }) },
  { weight: 1, arbitrary: of('shelve', { chat, status }) },
  { weight: 2, arbitrary: of('requeue', { job }) },
  { weight: 2, arbitrary: of('job', { job, waits, again }) },
  { weight: 2, arbitrary: of('chat', { chat, again }) },
  { weight: 3, arbitrary: of('page', { chat, limit, from: fc.constantFrom('end', 'before', 'after'), way }) },
  {
    weight: 2,
    arbitrary: of('list', {
      assistant: fc.option(assistant, { nil: undefined }),
      status: fc.option(status, { nil: undefined }),
      limit,
    }),
  },
];

const step = fc.oneof(...orderly);

const anyStep = fc.oneof(
  ...orderly,
  {
    weight: 2,
    arbitrary: of('spy', {
      chat,
      job,
      on: fc.constantFrom('chat', 'page', 'turn', 'message', 'reply', 'delete', 'job', 'cancel'),
    }),
  },
  { weight: 1, arbitrary: of('leave', {}) },
);

/** One client that does one step after the other. */
export const oneByOne = (longest: number): fc.Arbitrary<Program> =>
  fc.record({
    opened,
    first: fc.array(anyStep, { minLength: 1, maxLength: longest, size: 'max' }),
    clients: fc.constant([]),
  });

/** A few steps to begin with, and then several clients at once. */
export const atOnce: fc.Arbitrary<Program> = fc.record({
  opened,
  first: fc.array(step, { maxLength: 6, size: 'max' }),
  clients: fc.array(fc.array(step, { minLength: 1, maxLength: 3, size: 'max' }), {
    minLength: 2,
    maxLength: 4,
    size: 'max',
  }),
});
