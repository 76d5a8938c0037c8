import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = { slug: 's', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };
const object = (properties: object, more: object = {}): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});

/** The faults of a schema, without the name of the field. */
const faultsOf = async (output_schema: object): Promise<string[]> => {
  const document = { assistants: [{ ...assistant, output_schema }] };
  const { faults } = await checkAssistants(document);
  return faults.map((fault) => sentence(fault, document).replace('"s": output_schema', ''));
};

describe('the schema of an assistant’s replies', () => {
  it('may have all that a model can be held to', async () => {
    const schema = object(
      {
        kind: { enum: ['order', 'refund', 1, true, null] },
        fixed: { const: 'x' },
        at: { type: 'string', format: 'date-time', description: 'When.', pattern: '^2' },
        sizes: { type: 'array', items: { type: 'integer' }, minItems: 1 },
        buyer: { $ref: '#/$defs/person' },
        seller: { $ref: '#/$defs/person' },
        note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        both: { allOf: [object({ a: { type: 'boolean' } })] },
        maybe: { type: ['number', 'null'], default: null },
      },
      {
        $defs: { person: object({ name: { type: 'string' }, home: { $ref: '#/definitions/place' } }) },
        definitions: { place: object({}) },
      },
    );
    expect(await faultsOf(schema)).toEqual([]);
  });

  it.each<[what: string, schema: object, faults: string[]]>([
    ['further properties', { type: 'object', properties: {} }, [' must have `additionalProperties: false`.']],
    [
      'further properties of a part',
      object({ a: { type: 'array', items: { type: 'object', additionalProperties: { type: 'string' } } } }),
      ['.properties.a.items must have `additionalProperties: false`.'],
    ],
    [
      'bounds',
      object({ a: { type: 'integer', minimum: 1, maximum: 5 }, b: { type: 'string', maxLength: 3 } }),
      [
        '.properties.a.minimum cannot be used: no model can be held to it.',
        '.properties.a.maximum cannot be used: no model can be held to it.',
        '.properties.b.maxLength cannot be used: no model can be held to it.',
      ],
    ],
    [
      'oneOf',
      object({ a: { oneOf: [{ type: 'string' }] } }),
      [
        '.properties.a.oneOf cannot be used: no model can be held to it.',
        '.properties.a must have type, enum, const, anyOf, allOf or $ref.',
      ],
    ],
    [
      'two items at least',
      object({ a: { type: 'array', items: { type: 'string' }, minItems: 2 } }),
      ['.properties.a.minItems must be 0 or 1.'],
    ],
    [
      'another format',
      object({ a: { type: 'string', format: 'iri' } }),
      ['.properties.a.format must be date-time, time, date, duration, email, hostname, uri, ipv4, ipv6 or uuid.'],
    ],
    [
      'an enum of mappings',
      object({ a: { enum: [{ b: 1 }] } }),
      ['.properties.a.enum must have only texts, numbers, true, false and null.'],
    ],
    ['any value', object({ a: {} }), ['.properties.a must have type, enum, const, anyOf, allOf or $ref.']],
    [
      'a reference to elsewhere',
      object({ a: { $ref: 'https://example.com/a' } }),
      [
        '.properties.a.$ref must begin with `#`: the schema must have all its parts.',
        expect.stringContaining(' is no JSON Schema that can be used:') as unknown as string,
      ],
    ],
    [
      'a reference within allOf',
      object({ a: { allOf: [{ $ref: '#/$defs/b' }] } }, { $defs: { b: object({}) } }),
      ['.properties.a.allOf must have no `$ref` in its parts.'],
    ],
    [
      'itself',
      object({ child: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }),
      ['.properties.child.anyOf[0].$ref leads back to itself: a schema must not be recursive.'],
    ],
    [
      'itself, by a way around',
      object(
        { a: { $ref: '#/$defs/a' } },
        { $defs: { a: object({ b: { $ref: '#/$defs/b' } }), b: object({ a: { $ref: '#/$defs/a' } }) } },
      ),
      [
        '.properties.a.$ref leads back to itself: a schema must not be recursive.',
        '.$defs.a.properties.b.$ref leads back to itself: a schema must not be recursive.',
        '.$defs.b.properties.a.$ref leads back to itself: a schema must not be recursive.',
      ],
    ],
    [
      'too much that may be missing',
      object(Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`p${n}`, { type: 'string' }])), { required: [] }),
      [' has 25 properties that are not in `required`, and at most 24 may be.'],
    ],
    [
      'too many values of several types',
      object(Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`p${n}`, { type: ['string', 'null'] }]))),
      [' has 17 parts with `anyOf` or several types, and at most 16 may be.'],
    ],
    [
      'what is no schema',
      object({ a: { type: 'text' } }),
      [expect.stringContaining(' is no JSON Schema that can be used:') as unknown as string],
    ],
  ])('must not have %s', async (_, schema, faults) => {
    expect(await faultsOf(schema)).toEqual(faults);
  });

  it('takes no longer to check if its parts refer to one another many times', async () => {
    const parts = Array.from({ length: 60 }, (_, n) => [
      `p${n}`,
      object({ a: { $ref: `#/$defs/p${n + 1}` }, b: { $ref: `#/$defs/p${n + 1}` } }),
    ]);
    const $defs = { ...Object.fromEntries(parts), p60: object({}) };
    expect(await faultsOf(object({ a: { $ref: '#/$defs/p0' } }, { $defs }))).toEqual([]);
  });
});
