import { describe, expect, it } from '@jest/globals';
import { withoutVariables } from './hidden-variables.js';

describe('what is made without variables', () => {
  const all = { LIB_KEY: 'key', LIB_URL: '', LIBRARY: 'kept' };

  it('sees none of them, and all others', () => {
    const env = { ...all };
    expect(withoutVariables('LIB_', () => ({ ...env }), env)).toEqual({ LIBRARY: 'kept' });
    expect(env).toEqual(all);
  });

  it('leaves them as they were also when it fails', () => {
    const env = { ...all };
    const fail = (): never => {
      throw new Error('no');
    };
    expect(() => withoutVariables('LIB_', fail, env)).toThrow('no');
    expect(env).toEqual(all);
  });
});
