import { describe, expect, it } from '@jest/globals';
import { repeatedName } from './repeated-name.js';

describe('a name that is in an object twice', () => {
  it.each([
    ['at the top', '{"a":1,"a":2}', 'a'],
    ['written with an escape', '{"a":1,"\\u0061":2}', 'a'],
    ['within', '{"a":[{"b":{"c":1,"d":2,"c":3}}]}', 'c'],
    ['empty', '{"":1,"":2}', ''],
    ['behind a text that looks like JSON', '{"a":"\\"},{\\\\","b":"\\\\","a":1}', 'a'],
    ['called like a method of every object', '{"toString":1,"toString":2}', 'toString'],
    ['with a quote in it', '{"\\"":1,"\\u0022":2}', '"'],
    ['behind another object', '{"a":{"x":1},"b":{"x":1},"a":1}', 'a'],
  ])('%s is found', (_, json, name) => {
    expect(() => JSON.parse(json)).not.toThrow();
    expect(repeatedName(json)).toBe(name);
  });

  it.each([
    ['in objects beside each other', '[{"a":1},{"a":1}]'],
    ['in objects within each other', '{"a":{"a":{"a":1}}}'],
    ['a value, too', '{"a":"a","b":"a"}'],
    ['a value with a colon', '{"a":"a\\":","b":":"}'],
    ['in other letters', '{"a":1,"A":2}'],
    ['nothing at all', 'null'],
  ])('%s is none', (_, json) => {
    expect(repeatedName(json)).toBeUndefined();
  });

  it('is looked for in texts as long and as deep as a body can be', () => {
    const long = 'x\\"'.repeat(85_000);
    expect(repeatedName(`{"a":"${long}","b":1,"a":2}`)).toBe('a');
    expect(repeatedName(`${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`)).toBeUndefined();
    expect(repeatedName(`${'['.repeat(130_000)}${']'.repeat(130_000)}`)).toBeUndefined();
  });
});
