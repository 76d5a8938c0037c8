import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

const BUNDLER = 'node_modules/rolldown/bin/cli.mjs';
const FILES = ['plain-text', 'result-fields', 'live-reply', 'live-parts'];

interface Field {
  readonly name: string | undefined;
  readonly label: string;
  readonly hint: string | undefined;
  readonly kind: string;
  readonly isRequired: boolean;
  readonly choices: readonly unknown[];
  readonly preset: string;
}
interface Shown {
  readonly shown: { get(): never };
}
interface LiveReply {
  readonly text: Shown & { add(text: string): boolean; readonly length: number };
  readonly calls: Shown & { take(call: object): boolean };
  readonly asides: Shown;
  begin(goesOn: boolean): void;
  think(text: string): void;
  cite(source: object): void;
  takeStreamed(call: object): boolean;
  keep(offset: number, reasoningOffset: number): void;
}
interface Modules {
  readonly visible: (text: string) => string;
  readonly visibleLine: (text: string, longest?: number) => string;
  readonly jsonOf: (value: unknown) => string;
  readonly prettyText: (text: string) => string;
  readonly LONGEST_SHOWN: number;
  readonly fieldsOf: (schema: object | undefined) => readonly Field[] | undefined;
  readonly resultOf: (
    fields: readonly Field[],
    texts: ReadonlyMap<Field, string>,
  ) => { content?: unknown; faults?: ReadonlyMap<Field, string> };
  readonly faultyField: (fields: readonly Field[], words: string) => Field | undefined;
  readonly zoneOf: (moment: Date) => string;
  readonly LiveReply: new () => LiveReply;
  readonly livePartsOf: (text: string, calls: never, asides: never) => { kind: string }[];
}

/** The page's own modules, which only a bundler resolves. */
let page: Modules;
/** Draws the next frame. */
let draw: () => void;

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rejoinder-state-'));
  const inputs = FILES.map((name) => `apps/playground/src/state/${name}.ts`);
  await promisify(execFile)(process.execPath, [BUNDLER, ...inputs, '--dir', directory]);
  const loaded = await Promise.all(
    FILES.map((name) => import(pathToFileURL(join(directory, `${name}.js`)).href) as Promise<object>),
  );
  page = Object.assign({}, ...loaded) as Modules;
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  let frames: (() => void)[] = [];
  Object.assign(globalThis, {
    requestAnimationFrame: (frame: () => void) => frames.push(frame),
    cancelAnimationFrame: (n: number) => void (frames[n - 1] = () => undefined),
  });
  draw = () => {
    const due = frames;
    frames = [];
    due.forEach((frame) => frame());
  };
});

describe('a text of strangers on the page', () => {
  it('shows control characters, and marks that turn the direction, by their names', () => {
    expect(page.visible('a\0b\u001b[2Jc\u202Egnp.exe\u2028d\u0085e')).toBe(
      'a⟨U+0000⟩b⟨U+001B⟩[2Jc⟨U+202E⟩gnp.exe⟨U+2028⟩d⟨U+0085⟩e',
    );
    expect(page.visible('a\r\nb\tc\rd')).toBe('a\nb\tc⟨U+000D⟩d');
    expect(page.visible('é 漢 مرحبا 😀 👩‍👩‍👧')).toBe('é 漢 مرحبا 😀 👩‍👩‍👧');
  });

  it('is one line within a sentence, and ends in an ellipsis where it is long', () => {
    expect(page.visibleLine(' a\n\n b\t c ')).toBe('a b c');
    expect(page.visibleLine('x'.repeat(80))).toBe('x'.repeat(80));
    expect(page.visibleLine('x'.repeat(81))).toMatch(/^x+…$/);
    expect(page.visibleLine('abcdef', 3)).toMatch(/^abc.?…$/);
    // It does not look at all of a long text.
    expect(page.visibleLine(`ab${'\u202E'.repeat(1e7)}`, 2).length).toBeLessThan(20);
  });

  it('is indented if it is JSON, unless that would change it, or take too much room', () => {
    expect(page.prettyText('{"a":[1,2]}')).toBe('{\n  "a": [\n    1,\n    2\n  ]\n}');
    for (const text of ['{"a": 1}', '[12345678901234567890]', '{"a":1,"a":2}', 'text', '{no json}', '{}x', '']) {
      expect(page.prettyText(text)).toBe(text);
    }
    const deep = `${'['.repeat(100)}${']'.repeat(100)}`;
    const long = `["${'x'.repeat(page.LONGEST_SHOWN)}"]`;
    expect([page.prettyText(deep), page.prettyText(long)]).toEqual([deep, long]);
  });

  it('of a value is its JSON, and of a value that has none it says so', () => {
    expect(page.jsonOf({ a: 'b' })).toBe('{\n  "a": "b"\n}');
    expect([page.jsonOf(undefined), page.jsonOf('x')]).toEqual(['', '"x"']);
    let value: unknown = 1;
    for (let n = 0; n < 100; n++) value = [value];
    expect(page.jsonOf(value)).toBe(`${'['.repeat(100)}1${']'.repeat(100)}`);
    const ring: unknown[] = [];
    ring.push(ring);
    expect(page.jsonOf(ring)).toBe('It is too deep to be shown.');
  });
});

describe('the form for a tool’s result', () => {
  const object = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more });
  const kindsOf = (schema: object): unknown => page.fieldsOf(schema)?.map(({ name, kind }) => [name, kind]);

  it('has a field for each simple property, the required ones first, with its words and its default', () => {
    const fields = page.fieldsOf(
      object(
        {
          note: { type: 'string', maxLength: 500, default: 'hi' },
          day: { type: 'string', format: 'date', title: 'Day', description: 'Which?' },
          count: { type: 'integer', default: 3 },
          place: { enum: ['in', 'out', null], default: 'out' },
        },
        { required: ['day', 'count'] },
      ),
    );
    expect(fields).toEqual([
      { name: 'day', label: 'Day', hint: 'Which?', kind: 'date', isRequired: true, choices: [], preset: '' },
      { name: 'count', label: 'count', hint: undefined, kind: 'integer', isRequired: true, choices: [], preset: '3' },
      { name: 'note', label: 'note', hint: undefined, kind: 'lines', isRequired: false, choices: [], preset: 'hi' },
      {
        name: 'place',
        label: 'place',
        hint: undefined,
        kind: 'choice',
        isRequired: false,
        choices: ['in', 'out', null],
        preset: '1',
      },
    ]);
  });

  it('is one field if the result is no object', () => {
    expect(kindsOf({ type: 'number' })).toEqual([[undefined, 'number']]);
    expect(kindsOf({ type: 'boolean' })).toEqual([[undefined, 'choice']]);
    expect(kindsOf({ const: 5 })).toEqual([[undefined, 'choice']]);
    expect(page.fieldsOf({ const: 5 })?.[0]?.preset).toBe('0');
    expect(kindsOf({ type: 'string', format: 'date-time' })).toEqual([[undefined, 'date-time']]);
  });

  it('is none where it would not show all that the schema asks for', () => {
    const many = Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`p${n}`, { type: 'string' }]));
    for (const schema of [
      undefined,
      {},
      { type: 'array' },
      { anyOf: [{ type: 'string' }] },
      { type: 'string', not: {} },
      { enum: [] },
      { enum: [{}] },
      { enum: Array.from({ length: 201 }, (_, n) => n) },
      object({}),
      object(many),
      object({ a: { type: 'object' } }),
      object({ a: { type: 'string' } }, { required: ['b'] }),
      object({ a: { type: 'string' } }, { patternProperties: {} }),
      object({ a: true }),
      { type: 'object', properties: [] },
    ]) {
      expect([schema, page.fieldsOf(schema)]).toEqual([schema, undefined]);
    }
  });

  const filled = (schema: object, ...texts: string[]) => {
    const fields = page.fieldsOf(schema) as readonly Field[];
    const { content, faults } = page.resultOf(fields, new Map(fields.map((field, n) => [field, texts[n] ?? ''])));
    return faults === undefined ? content : [...faults].map(([{ label }, words]) => `${label}: ${words}`);
  };

  it('gives values of the schema’s types, and leaves out what was left empty', () => {
    const schema = object(
      { a: { type: 'integer' }, b: { type: 'number' }, c: { enum: [true, 'x'] }, d: { type: 'string' } },
      { required: ['a', 'b', 'c', 'd'] },
    );
    expect(filled(schema, ' 7 ', '1.5e3', '0', ' kept as it is ')).toEqual({
      a: 7,
      b: 1500,
      c: true,
      d: ' kept as it is ',
    });
    expect(filled(object({ a: { type: 'string' }, b: { type: 'integer' } }), '  ', '')).toEqual({});
    expect(filled({ type: 'boolean' }, '1')).toBe(false);
    expect(filled({ enum: [null, 1] }, '0')).toBeNull();
  });

  it('says what is needed where something is missing or no number', () => {
    const schema = object(
      { a: { type: 'integer' }, b: { type: 'number' }, c: { type: 'boolean' }, d: { type: 'string' } },
      { required: ['a', 'b', 'c', 'd'] },
    );
    expect(filled(schema, '1.5', 'two', '', ' ')).toEqual([
      'a: A whole number is needed.',
      'b: A number is needed.',
      'c: Choose one.',
      'd: This is needed.',
    ]);
    // It would lose digits.
    expect(filled({ type: 'integer' }, '12345678901234567890')).toEqual(['Your answer: A whole number is needed.']);
  });

  it('gives times with seconds and the reader’s zone', () => {
    expect(filled({ type: 'string', format: 'time' }, '10:30')).toMatch(/^10:30:00[+-]\d\d:\d\d$/);
    const moment = filled({ type: 'string', format: 'date-time' }, '2026-12-01T10:30') as string;
    expect(moment).toMatch(/^2026-12-01T10:30:00[+-]\d\d:\d\d$/);
    expect(new Date(moment)).toEqual(new Date('2026-12-01T10:30'));
    const zone = (minutes: number): string => page.zoneOf({ getTimezoneOffset: () => minutes } as Date);
    expect([zone(0), zone(-330), zone(210)]).toEqual(['+00:00', '+05:30', '-03:30']);
  });

  it('finds the field that the service’s words are about, also if its name has slashes', () => {
    const fields = page.fieldsOf(object({ 'a/b~c': { type: 'string' }, a: { type: 'string' } })) as readonly Field[];
    expect(page.faultyField(fields, 'It does not match: /a~1b~0c must be x')?.name).toBe('a/b~c');
    expect(page.faultyField(fields, 'It does not match: /a must be x')?.name).toBe('a');
    expect(page.faultyField(fields, 'It does not match: /other must be x')).toBeUndefined();
    const only = page.fieldsOf({ type: 'string' }) as readonly Field[];
    expect(page.faultyField(only, 'whatever')).toBe(only[0]);
  });
});

describe('the reply that is being written', () => {
  let reply: LiveReply;
  beforeEach(() => {
    reply = new page.LiveReply();
    reply.begin(false);
  });

  const call = (id: string, step: number, status = 'running'): object => ({ id, step, status });
  const source = (url: string): object => ({ type: 'source', url, title: null });
  /** Each part in a word, as it is drawn. */
  const drawn = (): string[] => {
    draw();
    const parts = page.livePartsOf(reply.text.shown.get(), reply.calls.shown.get(), reply.asides.shown.get());
    return parts.map((part) => {
      const { kind, text, sources, calls } = part as { kind: string } & Record<string, any>;
      const items = sources?.map(({ url }: { url: string }) => url) ?? calls?.map((each: any) => each.call.id);
      return `${kind} ${text ?? items.join()}`;
    });
  };

  it('has each step’s thoughts before its text, its sources behind that, and its calls last', () => {
    reply.think('I ');
    reply.think('look. ');
    reply.text.add('Let me ');
    reply.cite(source('s1'));
    reply.text.add('see.');
    reply.takeStreamed(call('a', 1));
    reply.takeStreamed(call('b', 1));
    reply.takeStreamed(call('a', 1, 'succeeded'));
    reply.think('Now I know.');
    reply.takeStreamed(call('c', 2));
    reply.think('Done.');
    reply.text.add('It is 42.');
    expect(drawn()).toEqual([
      'thoughts I look. ',
      'text Let me see.',
      'sources s1',
      'calls a,b',
      'thoughts Now I know.',
      'calls c',
      'thoughts Done.',
      'text It is 42.',
    ]);
  });

  it('is drawn once a frame', () => {
    reply.think('I think.');
    reply.text.add('So');
    const shown = (): unknown => reply.asides.shown.get();
    expect(shown()).toEqual([]);
    draw();
    expect(shown()).toHaveLength(1);
  });

  it('forgets the thoughts and the sources of a lost attempt, and keeps finished steps', () => {
    reply.think('First. ');
    reply.text.add('One.');
    reply.cite(source('s1'));
    reply.takeStreamed(call('a', 1));
    reply.think('Lost');
    reply.text.add('Lost');
    expect(drawn()).toContain('thoughts Lost');
    reply.keep(4, 'First. '.length);
    expect(drawn()).toEqual(['thoughts First. ', 'text One.', 'calls a']);
    reply.cite(source('s1'));
    reply.think('Again.');
    expect(drawn()).toEqual(['thoughts First. ', 'text One.', 'calls a', 'sources s1', 'thoughts Again.']);
    reply.keep(0, 0);
    expect(drawn()).toEqual(['calls a']);
  });

  it('stays while the same reply comes once more, and puts calls that a poll showed where they belong', () => {
    reply.calls.take(call('b', 2, 'awaiting_approval'));
    expect(drawn()).toEqual(['calls b']);
    reply.begin(true);
    reply.think('First.');
    reply.text.add('One.');
    reply.takeStreamed(call('a', 1, 'succeeded'));
    reply.think('Then.');
    reply.text.add('Two.');
    reply.takeStreamed(call('b', 2, 'awaiting_approval'));
    const whole = ['thoughts First.', 'text One.', 'calls a', 'thoughts Then.', 'text Two.', 'calls b'];
    expect(drawn()).toEqual(whole);
    reply.begin(true);
    expect(drawn()).toEqual(whole);
    reply.think('First.');
    expect(drawn()).toEqual(whole);
  });
});
