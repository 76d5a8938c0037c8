import fc from 'fast-check';
import type { Contract } from '../support/contract.js';

export type Schema = Readonly<Record<string, any>>;

/** A value that breaks its schema, and the way in which it does. */
export interface Broken {
  readonly how: string;
  readonly value: unknown;
}

/** A placeholder for something of the world. It is filled in when the request is sent. */
export class Ref {
  constructor(
    /** `chat`, `job` and so on; `any`: an id of any kind. */
    readonly kind: string,
    readonly whose: 'mine' | 'theirs',
    /** The n-th of them, counted around. */
    readonly pick: number,
    readonly inCapitals = false,
  ) {}
}

/** An id that names nothing. */
export const NOBODYS_ID = '0199a0de-0000-7000-8000-000000000000';

/** The kind of thing that a field of this name means. An id with another name may mean any kind. */
const KINDS: Readonly<Record<string, string>> = {
  slug: 'assistant',
  assistant: 'assistant',
  user: 'user',
  chat: 'chat',
  chat_id: 'chat',
  job_id: 'job',
  receipt_id: 'receipt',
  call_id: 'call',
};

/** In characters: longer than any limit, and short enough to be sent often. */
const FAR_TOO_LONG = 40_000;

/** The first one comes more often, because most can be done with it. */
const pick = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(11) });

export function refTo(name: string, whose: 'mine' | 'theirs' = 'mine'): fc.Arbitrary<Ref> {
  const kind = KINDS[name] ?? 'any';
  return fc
    .tuple(pick, fc.boolean())
    .map(([n, capitals]) => new Ref(kind, whose, n, capitals && kind !== 'assistant' && kind !== 'user'));
}

/** Any character, and each half of a pair. Fast-check's own `binary` makes a map of all of them first. */
const anyCharacter = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));

export const anyText = fc.array(anyCharacter, { maxLength: 30 }).map((characters) => characters.join(''));

/** Text that people write, and text that they do not: letters of all planes, combining ones, direction marks, emoji. */
const CHARACTERS = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
  { weight: 1, arbitrary: anyCharacter },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '\u0301',
      '\u202e',
      '\ufeff',
      '\u2028',
      '\r\n',
      '\u0001',
      '\\',
      '"',
      '%',
      '👩‍👩‍👧',
      '\u{10ffff}',
    ),
  },
);

/** Makes values from the schemas of a contract: allowed ones and broken ones. */
export class Values {
  constructor(private readonly contract: Contract) {}

  /** Values that a schema allows. `name` is the value's name, which tells the kind of an id. */
  valid(given: Schema, name = ''): fc.Arbitrary<unknown> {
    const schema = this.resolved(given);
    if (schema['const'] !== undefined) return fc.constant(schema['const']);
    if (schema['enum'] !== undefined) return fc.constantFrom(...(schema['enum'] as unknown[]));
    const choices = (schema['anyOf'] ?? schema['oneOf']) as Schema[] | undefined;
    if (choices !== undefined) return fc.oneof(...choices.map((choice) => this.valid(choice, name)));
    if (Array.isArray(schema['type'])) {
      return fc.oneof(...(schema['type'] as string[]).map((type) => this.valid({ ...schema, type }, name)));
    }
    switch (schema['type']) {
      case 'string':
        return validText(schema, name);
      case 'integer':
        return fc.integer({ min: schema['minimum'] ?? -1e9, max: schema['maximum'] ?? 1e9 });
      case 'number':
        return fc.double({ min: schema['minimum'], max: schema['maximum'], noNaN: true });
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array':
        return fc.array(this.valid(schema['items'] ?? {}), {
          minLength: schema['minItems'] ?? 0,
          maxLength: Math.min(schema['maxItems'] ?? 5, 50),
        });
      case 'object':
        return this.validObject(schema);
      default:
        return fc.jsonValue({ maxDepth: 2 });
    }
  }

  /** The ways in which a value can break a schema; each alone, as far as possible. */
  broken(given: Schema, name = ''): fc.Arbitrary<Broken>[] {
    const schema = this.resolved(given);
    const types = [schema['type'] ?? []].flat() as string[];
    const ways = [
      way('another type', fc.constantFrom(...otherTypes(types))),
      ...(types.includes('null') ? [] : [way('null', fc.constant(null))]),
    ];
    if (schema['enum'] !== undefined || schema['const'] !== undefined) {
      const known = String(schema['const'] ?? schema['enum'][0]);
      ways.push(
        way('not one of those', fc.constantFrom(known.toUpperCase(), `${known} `, `${known}\0`, '', 'toString')),
      );
    } else if (types.includes('string')) ways.push(...brokenText(schema, name));
    if (types.includes('integer') || types.includes('number')) ways.push(...brokenNumber(schema));
    if (types.includes('object')) ways.push(...this.brokenObject(schema));
    for (const choice of (schema['anyOf'] ?? schema['oneOf'] ?? []) as Schema[])
      ways.push(...this.broken(choice, name));
    return ways;
  }

  resolved(schema: Schema): Schema {
    const reference = schema['$ref'] as string | undefined;
    return reference === undefined ? schema : this.resolved(this.contract.at(reference.slice(1)) as Schema);
  }

  private validObject(schema: Schema): fc.Arbitrary<object> {
    const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
    const known = fc.record(
      Object.fromEntries(Object.entries(properties).map(([key, inner]) => [key, this.valid(inner, key)])),
      { requiredKeys: (schema['required'] ?? []) as string[] },
    );
    const others = schema['additionalProperties'] as Schema | boolean | undefined;
    if (typeof others !== 'object') {
      return known.filter((value) => Object.keys(value).length >= ((schema['minProperties'] ?? 0) as number));
    }
    return fc.dictionary(
      this.valid(schema['propertyNames'] ?? { type: 'string' }) as fc.Arbitrary<string>,
      this.valid(others),
      {
        minKeys: schema['minProperties'] ?? 0,
        maxKeys: schema['maxProperties'] ?? 20,
        size: 'medium',
      },
    );
  }

  private brokenObject(schema: Schema): fc.Arbitrary<Broken>[] {
    const whole = this.validObject(schema);
    const ways: fc.Arbitrary<Broken>[] = [];
    for (const [key, inner] of Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)) {
      for (const part of this.broken(inner, key)) {
        ways.push(
          fc
            .tuple(whole, part)
            .map(([rest, { how, value }]) => ({ how: `${key}: ${how}`, value: { ...rest, [key]: value } })),
        );
      }
    }
    for (const key of (schema['required'] ?? []) as string[]) {
      ways.push(
        way(
          `no ${key}`,
          whole.map((value) => Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))),
        ),
      );
    }
    const others = schema['additionalProperties'] as Schema | boolean | undefined;
    if (typeof others !== 'object') {
      const names = fc.constantFrom(
        'unknown',
        '',
        '__proto__',
        'constructor',
        'toString',
        '\0',
        '\ud800',
        'ſ',
        'x'.repeat(500),
      );
      ways.push(
        way(
          'an unknown field',
          fc
            .tuple(whole, names, fc.jsonValue({ maxDepth: 3 }))
            .map(([rest, key, value]) => ({ ...rest, [key]: value })),
        ),
      );
      if (schema['minProperties'] !== undefined) ways.push(way('nothing in it', fc.constant({})));
      return ways;
    }
    const put = (how: string, key: fc.Arbitrary<unknown>, value: fc.Arbitrary<unknown>): fc.Arbitrary<Broken> =>
      way(
        how,
        fc.tuple(whole, key, value).map(([rest, k, v]) => ({ ...rest, [String(k)]: v })),
      );
    for (const part of this.broken(others)) {
      ways.push(part.chain(({ how, value }) => put(`a value: ${how}`, fc.constant('key'), fc.constant(value))));
    }
    for (const part of this.broken(schema['propertyNames'] ?? {})) {
      ways.push(part.chain(({ how, value }) => put(`a key: ${how}`, fc.constant(value), this.valid(others))));
    }
    if (schema['maxProperties'] !== undefined) {
      const keys = Array.from({ length: schema['maxProperties'] + 1 }, (_, n) => [`key-${n}`, 'x']);
      ways.push(way('too many keys', fc.constant(Object.fromEntries(keys))));
    }
    return ways;
  }
}

function way(how: string, values: fc.Arbitrary<unknown>): fc.Arbitrary<Broken> {
  return values.map((value) => ({ how, value }));
}

/** The length of a text in characters (code points), as JSON Schema counts it. */
const lengthOf = (text: string): number => [...text].length;

function validText(schema: Schema, name: string): fc.Arbitrary<unknown> {
  if (schema['format'] === 'uuid' || KINDS[name] !== undefined) return refTo(name);
  if (schema['format'] === 'date-time') {
    return fc
      .tuple(moment, fc.constantFrom('Z', 'z', '+05:30', '-23:59', '.5Z', '.123456789Z'))
      .map(([date, end]) => `${date.toISOString().slice(0, 19)}${end}`);
  }
  if (schema['format'] === 'date') return moment.map((date) => date.toISOString().slice(0, 10));
  if (schema['pattern'] !== undefined) return fc.stringMatching(new RegExp(schema['pattern'], 'u'));
  const { minLength: min = 0, maxLength: max = FAR_TOO_LONG } = schema as { minLength?: number; maxLength?: number };
  const isText = (text: string): boolean =>
    lengthOf(text) >= min &&
    lengthOf(text) <= max &&
    !text.includes('\0') &&
    text.isWellFormed() &&
    (min === 0 || /\S/u.test(text));
  const written = fc
    .array(CHARACTERS, { minLength: min, maxLength: Math.min(max, 80), size: 'medium' })
    .map((characters) => characters.join(''))
    .filter(isText);
  const longest = fc.constantFrom('x', 'é', '😀').map((character) => character.repeat(max));
  return fc.oneof(
    { weight: max > 1_000 ? 40 : 9, arbitrary: written },
    { weight: 1, arbitrary: longest },
    { weight: 1, arbitrary: fc.constant('x'.repeat(Math.max(min, 1))) },
  );
}

const moment = fc.date({ min: new Date('2015-01-01'), max: new Date('2035-01-01'), noInvalidDate: true });

function brokenText(schema: Schema, name: string): fc.Arbitrary<Broken>[] {
  const ways = [
    way('NUL', fc.constantFrom('\0', 'a\0b')),
    way('a lone surrogate', fc.constantFrom('\ud800', 'a\udc00b')),
    way('blank', fc.constantFrom(' ', '\t\n', '\u00a0\u2003', '\ufeff')),
    way('far too long', fc.constantFrom('x'.repeat(FAR_TOO_LONG), '😀'.repeat(FAR_TOO_LONG / 2))),
  ];
  if (schema['minLength'] > 0) ways.push(way('too short', fc.constant('x'.repeat(schema['minLength'] - 1))));
  if (schema['maxLength'] !== undefined) {
    ways.push(
      way(
        'one too long',
        fc.constantFrom('x', 'é', '😀').map((character) => character.repeat(schema['maxLength'] + 1)),
      ),
    );
  }
  if (schema['format'] === 'uuid' || KINDS[name] !== undefined) {
    ways.push(
      way(
        'an id of nothing',
        fc.constantFrom(NOBODYS_ID, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
      ),
      way("somebody else's", refTo(name, 'theirs')),
      way(
        'of another kind',
        fc
          .constantFrom('chat', 'job', 'message', 'receipt', 'user', 'assistant')
          .chain((kind) => pick.map((n) => new Ref(kind, 'mine', n))),
      ),
      way(
        'no id',
        fc.constantFrom(
          `{${NOBODYS_ID}}`,
          NOBODYS_ID.replaceAll('-', ''),
          `urn:uuid:${NOBODYS_ID}`,
          `${NOBODYS_ID}\n`,
          ` ${NOBODYS_ID}`,
          `${NOBODYS_ID.slice(0, -1)}g`,
          '019936d3-6b2e-0c4a-0f3e-2f1d5a7b8c9',
          '1',
        ),
      ),
    );
  }
  if (String(schema['format']).startsWith('date')) {
    const wrong = [
      '2026-02-30',
      '2026-13-01T00:00:00Z',
      '0000-01-01',
      '+012026-01-01T00:00:00Z',
      '9999-12-31T23:59:60Z',
      'today',
      '2026-11-23T25:00:00Z',
      '2026-11-23T09:00:00.123456789012Z',
      '1e9',
      'infinity',
      '2026-11-23T09:00:00+99:99',
      '0001-01-01T00:00:00Z',
    ];
    ways.push(way('no such time', fc.constantFrom(...wrong)));
  }
  if (schema['pattern'] !== undefined) {
    ways.push(
      way(
        'not of its pattern',
        fc.oneof(anyText, fc.constantFrom('UPPER', '-x', 'a b', '../..', "'; --", 'x'.repeat(5_000))),
      ),
    );
  }
  return ways;
}

function brokenNumber({ minimum, maximum }: Schema): fc.Arbitrary<Broken>[] {
  return [
    ...(minimum === undefined ? [] : [way('too small', fc.constantFrom(minimum - 1, -minimum - 1, -(2 ** 53)))]),
    ...(maximum === undefined ? [] : [way('too large', fc.constantFrom(maximum + 1, 2 ** 31, 2 ** 63, 1e300))]),
    way('not whole', fc.constantFrom(1.5, 1e-9)),
    way('no number', fc.constantFrom('', 'ten', '0x10', '1e1', '١', '1 ', '+1', 'NaN', '-0', '01')),
  ];
}

function otherTypes(types: readonly string[]): unknown[] {
  const all: [string, unknown][] = [
    ['string', 'text'],
    ['integer', 5],
    ['integer', -1],
    ['number', 1.5],
    ['boolean', true],
    ['boolean', false],
    ['array', []],
    ['array', ['x']],
    ['object', {}],
    ['object', { a: { b: {} } }],
    ['array', nested(200)],
  ];
  return all.filter(([type]) => !types.includes(type)).map(([, value]) => value);
}

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)];
}
