import { describe, expect, it } from '@jest/globals';
import { madeUpInput, wrongInput } from './made-up-input.js';

const object = (properties: Record<string, unknown>, required = Object.keys(properties)): Record<string, unknown> => ({
  type: 'object',
  properties,
  required,
});

describe('an input that the stand-in makes up', () => {
  it('has the required properties, with values of the kinds that the schema asks for', () => {
    const schema = object({
      order_id: { type: 'string' },
      status: { type: 'string', enum: ['late', 'lost'] },
      since: { type: 'string', format: 'date' },
      birthday: { type: 'string' },
      count: { type: 'integer', minimum: 3, multipleOf: 2 },
      share: { type: 'number', maximum: 0.5 },
      sure: { type: 'boolean' },
      tags: { type: 'array', items: { type: 'string', minLength: 9 }, minItems: 2 },
      place: object({ zip: { type: ['null', 'string'], maxLength: 3 } }),
      kind: { const: 7 },
      either: { anyOf: [{ type: 'integer' }, { type: 'string' }] },
      usual: { type: 'string', default: 'x' },
    });
    expect(madeUpInput(schema)).toEqual({
      order_id: 'example',
      status: 'late',
      since: '2026-12-01',
      birthday: '2026-12-01',
      count: 4,
      share: 0.5,
      sure: true,
      tags: ['examplexx', 'examplexx'],
      place: { zip: 'exa' },
      kind: 7,
      either: 1,
      usual: 'x',
    });
    expect(madeUpInput(object({ a: { type: 'string' }, b: { type: 'string' } }, ['b']))).toEqual({ b: 'example' });
    expect(madeUpInput({ type: 'object' })).toEqual({});
  });

  it('ends, even if the schema contains itself', () => {
    const node = object({ next: { $ref: '#/$defs/node' } });
    const input = JSON.stringify(madeUpInput({ ...node, $defs: { node } }));
    expect(input.length).toBeLessThan(200);
  });

  it('has a value of another type if it is to be wrong', () => {
    expect(wrongInput(object({ id: { type: 'string' } }))).toEqual({ id: 42 });
    expect(wrongInput(object({ n: { type: 'integer' } }, []))).toEqual({ n: 'not what the schema asks for' });
    expect(wrongInput({ type: 'object' })).toEqual({ unexpected: true });
  });
});
