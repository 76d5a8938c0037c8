import { describe, expect, it } from '@jest/globals';
import { checkBy, schemaFault } from './json-schema.js';

describe('a JSON Schema', () => {
  it.each([
    ['of this draft', { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' }],
    ['that names an earlier draft', { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object' }],
    ['with unknown keywords and formats', { type: 'string', format: 'colour', 'x-mine': 1 }],
    [
      'that refers to the schema of schemas',
      { properties: { a: { $ref: 'https://json-schema.org/draft/2020-12/schema' } } },
    ],
  ])('%s can be used', (_, schema) => {
    expect(schemaFault(schema)).toBeUndefined();
    expect(() => checkBy(schema)).not.toThrow();
  });

  it.each([
    ['with a type that does not exist', { type: 'objekt' }, /data\/type must be equal to one of the allowed values/],
    ['with a reference to nothing', { $ref: '#/nowhere' }, /can't resolve reference/],
    ['with a pattern that is none', { pattern: '(' }, /Invalid regular expression/],
    [
      'with the name of the schema of schemas',
      { $id: 'https://json-schema.org/draft/2020-12/schema' },
      /already exists/,
    ],
  ])('%s cannot', (_, schema, words) => {
    expect(schemaFault(schema)).toMatch(words);
    expect(() => checkBy(schema)).toThrow(words);
  });

  it('may have the `$id` of another one', () => {
    const [text, number] = ['string', 'number'].map((type) => checkBy({ $id: 'https://a.example/one', type }));
    expect([text?.('a'), number?.(1), text?.(1)]).toEqual([undefined, undefined, 'The value must be string.']);
  });
});
