import { describe, expect, it } from '@jest/globals';
import { headerFault } from './header-fault.js';

const header = (name: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': name });
const object = (properties: object) => ({ type: 'object', properties });

describe('the headers that a tool’s schema wants', () => {
  it.each([
    ['none', { type: 'object' }],
    ['of properties at any depth', object({ a: header('Region'), b: object({ c: header('Tenant', 'integer') }) })],
    ['a property with the keyword’s name', object({ 'x-mcp-header': { type: 'string' } })],
    ['the keyword in data', object({ a: { type: 'object', default: { 'x-mcp-header': 7 } } })],
  ])('are allowed: %s', (_, schema) => {
    expect(headerFault(schema)).toBeUndefined();
  });

  it.each([
    ['at the root', { type: 'object', 'x-mcp-header': 'A' }, 'it is not at a property'],
    ['in a list', object({ a: { type: 'array', items: header('A') } }), 'it is not at a property'],
    ['in a branch', { type: 'object', anyOf: [object({ a: header('A') })] }, 'it is not at a property'],
    ['in a definition', { type: 'object', $defs: { a: header('A') } }, 'it is not at a property'],
    ['no text', object({ a: header(7) }), 'its name is not one of a header'],
    ['two lines', object({ a: header('A\r\nB') }), 'its name is not one of a header'],
    ['an object', object({ a: header('A', 'object') }), 'its property is neither text nor an integer nor a boolean'],
    ['twice', object({ a: header('A'), b: header('a') }), 'its name occurs twice'],
  ])('are refused: %s', (_, schema, fault) => {
    expect(headerFault(schema)).toBe(fault);
  });
});
