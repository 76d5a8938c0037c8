import fc from 'fast-check';
import { type Contract, type ContractOperation, escape } from '../support/contract.js';
import { anyText, type Broken, NOBODYS_ID, Ref, refTo, type Schema, Values } from './values.js';

/** A part of an address that is sent as it is. */
export class Raw {
  constructor(readonly text: string) {}
}

/** Stands for a body that is not JSON, which no schema allows. */
export const NOT_JSON = Symbol('not JSON');

/** A body that is sent as it is. */
export class RawBody {
  /** Its value as JSON. */
  readonly value: unknown;

  constructor(readonly bytes: Buffer) {
    this.value = parsed(bytes);
  }
}

/** An `ETag`, a cursor or an event's id of an earlier answer, changed in this way. */
export class Seen {
  constructor(
    readonly what: 'etag' | 'cursor' | 'foreign cursor',
    readonly pick: number,
    readonly change: (text: string) => string,
  ) {}
}

/** The caller. */
export type Asking = 'me' | 'a stranger' | 'nobody' | 'expired' | 'wrong key' | 'no scope' | string[];

/** A request before its chats are known. All of it is data, so that it can be shrunk. */
export interface Plan {
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: readonly (readonly [string, unknown])[];
  readonly headers: readonly (readonly [string, unknown])[];
  readonly body: unknown;
  readonly asking: Asking;
  /** Another method than the operation's. */
  readonly method?: string | undefined;
  /** Continues from the n-th seen page of this list. */
  readonly page: number | undefined;
  /** The ways in which it is broken. It is empty for a request that the contract allows. */
  readonly broken: readonly string[];
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

/** A change that breaks a plan, or may. */
interface Break extends Partial<Omit<Plan, 'broken'>> {
  readonly how: string;
  /** A query parameter that is left out. */
  readonly leftOut?: string;
}

/** Characters of a header's value (RFC 9110, section 5.5), including those beyond ASCII. */
const HEADER_TEXT = fc.string({
  unit: fc.constantFrom(...Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n)), '\t', '\x80', 'é', 'ÿ'),
  maxLength: 60,
});

const LONG = 'x'.repeat(2_000);

/** Values that a client may send in the headers we know. The schema says it for other headers. */
const HEADERS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  prefer: fc.constantFrom(
    'respond-async',
    'wait=0',
    'wait=1',
    'respond-async, wait=0',
    'wait="0"',
    'respond-async; x=y',
    'handling=strict, respond-async',
  ),
  'idempotency-key': fc.oneof(
    fc.uuid(),
    fc
      .string({ unit: fc.constantFrom('a', 'Z', '"', ' ', '/', 'é', '~'), minLength: 1, maxLength: 255 })
      .filter((key) => key.trim() !== ''),
  ),
  'if-none-match': fc.oneof(
    {
      weight: 3,
      arbitrary: seen(
        'etag',
        (tag) => tag,
        (tag) => `W/${tag}`,
        (tag) => `"other", ${tag}`,
        (tag) => `${tag},"x,y"`,
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom('*', '"other"', 'W/"other"', '""') },
  ),
  'if-match': fc.oneof(
    {
      weight: 3,
      arbitrary: seen(
        'etag',
        (tag) => tag,
        (tag) => `W/${tag}`,
        (tag) => `"other", ${tag}`,
      ),
    },
    // A seen `ETag` is seldom that of the thing that is asked for.
    { weight: 6, arbitrary: fc.constant('*') },
    { weight: 1, arbitrary: fc.constantFrom('"other"', '""') },
  ),
  'last-event-id': fc.constantFrom('end', 'end', '0.0', '1.0', '1.3', '2.0', '1.999999999', '999999999.0', ''),
  'x-request-id': fc.string({ unit: fc.constantFrom(...'azAZ09._-'), minLength: 1, maxLength: 128 }),
};

/** Invalid values of the same headers, for operations that know them and for those that do not. */
const BROKEN_HEADERS: Readonly<Record<string, readonly string[]>> = {
  Prefer: [
    'wait=-1',
    'wait=1e3',
    'wait=',
    'wait',
    '=',
    ',,,',
    'respond-async=1',
    'wait=99999999999999999999',
    `x=${LONG}`,
    'wait=0;;;',
    '"',
  ],
  'Idempotency-Key': ['', ' ', 'x'.repeat(256), 'é'.repeat(255), '\x80', LONG, 'a\tb', '\xc3\xa9', '\xf0\x9f\x98\x80'],
  'If-Match': ['', 'x', 'W/*', '"', '"a" "b"', `"${LONG}"`, '**', '*, "x"', '",'.repeat(500)],
  'If-None-Match': ['', 'x', 'W/*', '"', `"${LONG}"`, '"a,b",', '*,*', '",'.repeat(500)],
  'Last-Event-ID': ['-1.0', '1', '1.0.0', 'END', '1.9999999999', 'x', '٣.٠', '0x1.0', LONG, 'end ', '1.0\xc3\xa9'],
  'X-Request-Id': ['', 'x'.repeat(129), 'a b', 'é', LONG, '../x', '"'],
  Accept: [
    'text/html',
    '*/*',
    'application/*;q=0.5',
    'application/json;q=0',
    '',
    'text/event-stream',
    'application/jsonl',
    ';;;',
    'application/json;q=x',
    'text/event-stream;q=0.1, application/json',
    '*',
    `${'a/b,'.repeat(400)}*/*`,
    'application/json; charset=latin1',
  ],
  'Content-Type': [
    'text/plain',
    'application/json; charset=utf-8',
    'application/json; charset=latin1',
    'application/json;',
    '',
    'APPLICATION/JSON',
    'multipart/form-data; boundary=x',
    'application/vnd.api+json',
    'application/x-www-form-urlencoded',
    'application/json, text/plain',
    'json',
    `application/json; x=${LONG}`,
  ],
  'Content-Encoding': ['gzip', 'identity', 'x', ''],
  'X-HTTP-Method-Override': ['DELETE'],
  Expect: ['tea'],
  Range: ['bytes=0-1', 'x'],
  Cookie: ['a=b; rejoinder_admin=x'],
  Origin: ['null', 'https://elsewhere.example'],
};

const AUTHORIZATIONS: readonly string[][] = [
  [''],
  ['Bearer'],
  ['Bearer '],
  ['Bearer x'],
  ['Bearer a.b.c'],
  ['Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSIsImV4cCI6OTk5OTk5OTk5OX0.'],
  ['Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.x'],
  [`Bearer ${LONG}`],
  ['Basic bWU6bWU='],
  ['Digest x', 'Bearer y'],
  ['Bearer \xff.\xff.\xff'],
];

const MANY_FIELDS = Array.from({ length: 1_000 }, (_, n) => [`k${n}`, '1'] as const);

const JUNK = [
  '',
  ' ',
  '.',
  '..',
  '../..',
  'null',
  'undefined',
  '0',
  '-1',
  '%',
  '\0',
  '\ud800',
  '😀',
  'é',
  '__proto__',
  "'; DROP TABLE chats;--",
  '{}',
  '*',
  LONG,
];
const JUNK_IN_ADDRESS = ['%zz', '%', '%00', '%ff', '%ed%a0%80', '%c0%ae', '..%2f..', '%252e', ';x=y', '+'];

/** Bodies that are not JSON, or almost JSON. */
const RAW_BODIES: readonly RawBody[] = [
  ...[
    '',
    ' ',
    '{',
    '{}x',
    'null',
    '[]',
    '"x"',
    '5',
    '1e999',
    '{"a":1e999}',
    '{"__proto__":{}}',
    '{"constructor":{"prototype":{}}}',
    '{"a":1,"a":2}',
    '\ufeff{}',
    "{'a':1}",
    '{"a":NaN}',
    '\0',
    '{"a":"\\u0000"}',
    '{"a":"\\ud800"}',
    '{"a":\n\n1,}',
    '['.repeat(5_000),
    `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`,
    `{"a":"${'x'.repeat(270_000)}"}`,
    '['.repeat(250_000),
    `${'['.repeat(120_000)}${']'.repeat(120_000)}`,
    // As many fields as there is room for.
    JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, 1]))),
  ].map((text) => Buffer.from(text)),
  Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  Buffer.from('{"a":1}', 'utf16le'),
].map((bytes) => new RawBody(bytes));

/** Makes requests for operations, from the contract. */
export class Requests {
  private readonly values: Values;

  constructor(private readonly contract: Contract) {
    this.values = new Values(contract);
  }

  /** Requests for an operation: some that the contract allows, others broken in one way, or in two. */
  of(operation: ContractOperation): fc.Arbitrary<Plan> {
    const parameters = this.parametersOf(operation);
    const breaks = fc.oneof(...this.breaksOf(operation, parameters));
    return fc
      .tuple(this.valid(operation, parameters), fc.array(breaks, { maxLength: 2, size: 'max' }))
      .map(([plan, broken]) => broken.reduce(applied, plan));
  }

  private valid(operation: ContractOperation, parameters: readonly Parameter[]): fc.Arbitrary<Plan> {
    const inPath = parameters.filter(({ in: place }) => place === 'path');
    const inQuery = parameters.filter(({ in: place, name }) => place === 'query' && !isCursor(name));
    const inHeader = parameters.filter(({ in: place }) => place === 'header');
    const some = (
      list: readonly Parameter[],
      value: (parameter: Parameter) => fc.Arbitrary<unknown>,
    ): fc.Arbitrary<[string, unknown][]> =>
      fc
        .tuple(
          ...list.map((parameter) =>
            parameter.required === true ? value(parameter) : fc.option(value(parameter), { nil: undefined, freq: 2 }),
          ),
        )
        .map((values) =>
          list.flatMap(({ name }, n) => (values[n] === undefined ? [] : [[name, values[n]] as [string, unknown]])),
        );
    const body = this.bodyOf(operation);
    return fc.record({
      path: fc
        .tuple(
          fc.record(Object.fromEntries(inPath.map(({ name, schema }) => [name, this.values.valid(schema, name)]))),
          fc.integer({ min: 0, max: 3 }),
        )
        .map(([path, apart]) => (apart === 3 ? path : together(path))),
      query: some(inQuery, ({ name, schema }) => this.values.valid(schema, name)),
      headers: fc
        .tuple(
          some(inHeader, ({ name, schema }) => HEADERS[name.toLowerCase()] ?? this.values.valid(schema, name)),
          fc.option(fc.constantFrom(...this.typesOf(operation)), { nil: undefined }),
        )
        .map(([headers, accept]) =>
          accept === undefined ? headers : [...headers, ['Accept', accept] as [string, unknown]],
        ),
      body:
        body === undefined
          ? fc.constant(undefined)
          : body.required
            ? this.values.valid(body.schema)
            : fc.option(this.values.valid(body.schema), { nil: undefined }),
      asking: fc.constant<Asking>('me'),
      page: parameters.some(({ name }) => isCursor(name))
        ? fc.option(fc.nat(9), { nil: undefined })
        : fc.constant(undefined),
      broken: fc.constant([]),
    });
  }

  private breaksOf(operation: ContractOperation, parameters: readonly Parameter[]): fc.MaybeWeightedArbitrary<Break>[] {
    const breaks: fc.MaybeWeightedArbitrary<Break>[] = [
      { weight: 2, arbitrary: brokenHeader },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom('HEAD', 'PUT', 'OPTIONS', 'TRACE', 'PROPFIND')
          .map((method) => ({ how: `method ${method}`, method })),
      },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom<Asking>('a stranger', 'nobody', 'expired', 'wrong key', 'no scope', ...AUTHORIZATIONS)
          .map((asking) => ({ how: `asked by ${String(asking)}`, asking })),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom('unknown', '', '__proto__', 'constructor', 'toString', 'limit[]', 'a.b', '\0'), junk)
          .map(([name, value]) => ({ how: 'an unknown query field', query: [[name, value]] as const })),
      },
    ];
    breaks.push(fc.constant({ how: 'many unknown query fields', query: MANY_FIELDS }));
    for (const { name, in: place, schema, required } of parameters) {
      if (place === 'header') continue;
      if (place === 'query' && required === true) breaks.push(fc.constant({ how: `no ${name}`, leftOut: name }));
      const wrong: fc.Arbitrary<Broken>[] = [
        ...(isCursor(name) ? cursors : this.values.broken(schema, name)),
        fc
          .oneof(
            junk,
            fc.constantFrom(...JUNK_IN_ADDRESS).map((text) => new Raw(text)),
          )
          .map((value) => ({ how: 'junk', value })),
      ];
      breaks.push({
        weight: place === 'path' ? 2 : 1,
        arbitrary: fc.oneof(...wrong).map(({ how, value }) => ({
          how: `${name}: ${how}`,
          ...(place === 'path' ? { path: { [name]: value } } : { query: [[name, value]] as const }),
        })),
      });
      if (place === 'query') {
        breaks.push(
          fc.tuple(this.values.valid(schema, name), this.values.valid(schema, name)).map(([one, two]) => ({
            how: `${name}: twice`,
            query: [
              [name, one],
              [name, two],
            ] as const,
          })),
        );
      }
    }
    const body = this.bodyOf(operation);
    const bodies = body === undefined ? [] : this.values.broken(body.schema);
    if (bodies.length > 0) {
      breaks.push({
        weight: 6,
        arbitrary: fc.oneof(...bodies).map(({ how, value }) => ({ how: `body, ${how}`, body: value })),
      });
    }
    breaks.push({
      weight: body === undefined ? 1 : 2,
      arbitrary: fc.constantFrom(...RAW_BODIES).map((body) => ({ how: 'a raw body', body })),
    });
    return breaks;
  }

  private parametersOf({ path, method }: ContractOperation): Parameter[] {
    const item = `/paths/${escape(path)}`;
    return [`${item}/parameters`, `${item}/${method.toLowerCase()}/parameters`].flatMap((list) =>
      ((this.contract.at(list) ?? []) as unknown[]).map(
        (_, n) => this.contract.at(this.contract.resolve(`${list}/${n}`)) as Parameter,
      ),
    );
  }

  private bodyOf({ path, method }: ContractOperation): { required: boolean; schema: Schema } | undefined {
    const pointer = this.contract.resolve(`/paths/${escape(path)}/${method.toLowerCase()}/requestBody`);
    const body = this.contract.at(pointer) as
      { required?: boolean; content: Record<string, { schema: Schema }> } | undefined;
    const schema = body?.content['application/json']?.schema;
    return schema && { required: body?.required === true, schema };
  }

  /** The media types of an operation's answers. */
  private typesOf({ path, method, statuses }: ContractOperation): string[] {
    const types = statuses
      .filter((status) => status < 300)
      .flatMap((status) => {
        const pointer = this.contract.resolve(`/paths/${escape(path)}/${method.toLowerCase()}/responses/${status}`);
        return Object.keys(((this.contract.at(pointer) as Schema)['content'] ?? {}) as object);
      });
    return [...new Set([...types, '*/*'])];
  }
}

const isCursor = (name: string): boolean => name === 'before' || name === 'after';

const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(...JUNK),
  anyText,
  refTo('chat_id'),
  fc.constant(NOBODYS_ID),
);

const brokenHeader: fc.Arbitrary<Break> = fc
  .constantFrom(...Object.entries(BROKEN_HEADERS))
  .chain(([name, values]) =>
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...values).map((value) => [[name, value]] as [string, string][]) },
      { weight: 1, arbitrary: HEADER_TEXT.map((value) => [[name, value]] as [string, string][]) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(...values).map(
          (value) =>
            [
              [name, 'x'],
              [name, value],
            ] as [string, string][],
        ),
      },
    ),
  )
  .map((headers) => ({ how: `header ${headers[0]?.[0]}`, headers }));

const bitFlipped = (text: string): string => {
  const bytes = Buffer.from(text, 'base64url');
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString('base64url');
};

const cursors: fc.Arbitrary<Broken>[] = [
  ...([
    ['of another list', 'foreign cursor', (text) => text],
    ['cut short', 'cursor', (text) => text.slice(0, -1)],
    ['with a bit flipped', 'cursor', bitFlipped],
    ['padded', 'cursor', (text) => `${text}=`],
    ['twice', 'cursor', (text) => text + text],
    ['of a page with other filters', 'cursor', (text) => text],
  ] satisfies [string, Seen['what'], (text: string) => string][]),
].map(([how, what, change]) => fc.nat(9).map((n) => ({ how, value: new Seen(what, n, change) })));

/** The same path, with things that belong together: all have the first one's number. */
function together(path: Record<string, unknown>): Record<string, unknown> {
  const first = Object.values(path).find((value) => value instanceof Ref);
  if (first === undefined) return path;
  return Object.fromEntries(
    Object.entries(path).map(([name, value]) => [
      name,
      value instanceof Ref ? new Ref(value.kind, value.whose, first.pick, value.inCapitals) : value,
    ]),
  );
}

function seen(what: Seen['what'], ...changes: ((text: string) => string)[]): fc.Arbitrary<Seen> {
  return fc.tuple(fc.nat(9), fc.constantFrom(...changes)).map(([n, change]) => new Seen(what, n, change));
}

function applied(plan: Plan, change: Break): Plan {
  const without = <T extends readonly [string, unknown]>(
    list: readonly T[],
    names: readonly (readonly [string, unknown])[] = [],
  ): T[] => list.filter(([name]) => !names.some(([other]) => other.toLowerCase() === name.toLowerCase()));
  return {
    path: { ...plan.path, ...change.path },
    query: [...without(plan.query, change.query), ...(change.query ?? [])].filter(([name]) => name !== change.leftOut),
    headers: [...without(plan.headers, change.headers), ...(change.headers ?? [])],
    body: 'body' in change ? change.body : plan.body,
    asking: change.asking ?? plan.asking,
    method: change.method ?? plan.method,
    page: plan.page,
    broken: [...plan.broken, change.how],
  };
}

function parsed(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return NOT_JSON;
  }
}
