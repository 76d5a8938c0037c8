import type { ToolCall } from '@rejoinder/client';

type Schema = NonNullable<ToolCall['result_schema']>;
type Given = string | number | boolean | null;

/** How a field is filled in. */
export type FieldKind = 'text' | 'lines' | 'number' | 'integer' | 'choice' | 'date' | 'time' | 'date-time';

/** A field of the form for a tool's result. Its value is a text until it is sent. */
export interface Field {
  /** The property of the result; undefined: the field is the whole result. */
  readonly name: string | undefined;
  readonly label: string;
  readonly hint: string | undefined;
  readonly kind: FieldKind;
  readonly isRequired: boolean;
  /** The values of a `choice`. A field's text is then the value's place in this list. */
  readonly choices: readonly Given[];
  readonly preset: string;
}

/** The outcome of a form: a result, or the faults by field. */
export type Filled = { readonly content: unknown } | { readonly faults: ReadonlyMap<Field, string> };

/** A form of more is harder to fill in than JSON. */
const MOST_FIELDS = 24;
const MOST_CHOICES = 200;

/** A text that may be longer than this gets more than one line. */
const ONE_LINE = 120;

/** The keywords that a form honours, or leaves to the service's check. A schema with another one is not simple. */
const SIMPLE = new Set(
  'type enum const format title description default examples pattern minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum multipleOf $schema $id $comment deprecated readOnly writeOnly'.split(
    ' ',
  ),
);
const SIMPLE_OBJECT = new Set(
  'type properties required additionalProperties title description examples $schema $id $comment minProperties maxProperties'.split(
    ' ',
  ),
);

/** The fields of a simple schema: a text, number, integer, boolean or choice, or an object of such. Undefined for another schema. */
export function fieldsOf(schema: Schema | undefined): readonly Field[] | undefined {
  if (schema === undefined) return undefined;
  if (schema['type'] !== 'object') {
    const field = fieldOf(undefined, schema, true);
    return field && [field];
  }
  const { properties = {}, required = [] } = schema;
  if (!isObject(properties) || !Array.isArray(required) || !hasOnly(schema, SIMPLE_OBJECT)) return undefined;
  const names = Object.keys(properties);
  if (names.length === 0 || names.length > MOST_FIELDS || required.some((name) => !names.includes(name as string)))
    return undefined;
  // The service keeps no order of properties, but that of a list.
  const ordered = [...new Set([...(required as string[]), ...names])];
  const fields = ordered.map((name) => fieldOf(name, properties[name], required.includes(name)));
  return fields.every((field) => field !== undefined) ? fields : undefined;
}

/** Reads the fields. @param texts the text of each field */
export function resultOf(fields: readonly Field[], texts: ReadonlyMap<Field, string>): Filled {
  const faults = new Map<Field, string>();
  const values = new Map<Field, unknown>();
  for (const field of fields) {
    const text = texts.get(field) ?? '';
    if (text.trim() === '') {
      if (field.isRequired) faults.set(field, field.kind === 'choice' ? 'Choose one.' : 'This is needed.');
      continue;
    }
    const value = valueOf(field, text);
    if (value === undefined)
      faults.set(field, field.kind === 'integer' ? 'A whole number is needed.' : 'A number is needed.');
    else values.set(field, value);
  }
  if (faults.size > 0) return { faults };
  const [first] = fields;
  if (first?.name === undefined) return { content: values.get(first as Field) };
  return {
    content: Object.fromEntries(
      fields.flatMap((field) => (values.has(field) ? [[field.name, values.get(field)]] : [])),
    ),
  };
}

/** The field at fault, by the service's words, which begin with a path such as `/day`. */
export function faultyField(fields: readonly Field[], words: string): Field | undefined {
  const [only] = fields;
  if (fields.length === 1 && only?.name === undefined) return only;
  return fields.find(({ name = '' }) => words.includes(`: /${name.replaceAll('~', '~0').replaceAll('/', '~1')} `));
}

function fieldOf(name: string | undefined, schema: unknown, isRequired: boolean): Field | undefined {
  if (!isObject(schema) || !hasOnly(schema, SIMPLE)) return undefined;
  const kind = kindOf(schema);
  if (kind === undefined) return undefined;
  const choices = choicesOf(schema);
  if (kind === 'choice' && (choices.length === 0 || choices.length > MOST_CHOICES)) return undefined;
  const { title, description } = schema;
  return {
    name,
    label: textOf(title) ?? name ?? 'Your answer',
    hint: textOf(description),
    kind,
    isRequired,
    choices,
    preset: presetOf(schema['default'], kind, choices),
  };
}

function kindOf({ type, format, maxLength, ...more }: Schema): FieldKind | undefined {
  if (more['enum'] !== undefined || more['const'] !== undefined || type === 'boolean') return 'choice';
  if (type === 'number' || type === 'integer') return type;
  if (type !== 'string') return undefined;
  if (format === 'date' || format === 'time' || format === 'date-time') return format;
  return typeof maxLength === 'number' && maxLength > ONE_LINE ? 'lines' : 'text';
}

function choicesOf(schema: Schema): readonly Given[] {
  if (schema['const'] !== undefined) return [schema['const']].filter(isGiven);
  const { enum: values } = schema;
  if (Array.isArray(values)) return values.every(isGiven) ? values : [];
  return schema['type'] === 'boolean' ? [true, false] : [];
}

function presetOf(value: unknown, kind: FieldKind, choices: readonly Given[]): string {
  if (kind === 'choice') {
    const place = choices.length === 1 ? 0 : choices.indexOf(value as Given);
    return place < 0 ? '' : String(place);
  }
  if (kind === 'number' || kind === 'integer') return typeof value === 'number' ? String(value) : '';
  // A moment's default has a zone, which its field does not take.
  return typeof value === 'string' && kind !== 'time' && kind !== 'date-time' ? value : '';
}

function valueOf({ kind, choices }: Field, text: string): unknown {
  switch (kind) {
    case 'choice':
      return choices[Number(text)];
    case 'number':
    case 'integer': {
      const value = Number(text.trim());
      // A longer whole number would lose digits.
      return (kind === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)) ? value : undefined;
    }
    case 'time':
      return `${withSeconds(text)}${zoneOf(new Date())}`;
    case 'date-time':
      return `${withSeconds(text)}${zoneOf(new Date(text))}`;
    default:
      return text;
  }
}

/** `10:30` as `10:30:00`: the standard wants seconds. */
function withSeconds(text: string): string {
  return /(?:^|T)\d\d:\d\d$/.test(text) ? `${text}:00` : text;
}

/** The reader's zone at a moment, as `+02:00` (RFC 3339). */
export function zoneOf(moment: Date): string {
  const minutes = -moment.getTimezoneOffset();
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isGiven = (value: unknown): value is Given =>
  value === null || ['string', 'number', 'boolean'].includes(typeof value);

const hasOnly = (schema: Schema, keywords: ReadonlySet<string>): boolean =>
  Object.keys(schema).every((key) => keywords.has(key));

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value : undefined;
