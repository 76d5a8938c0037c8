import { describe, expect, it } from '@jest/globals';
import { OPERATIONS } from './operations.js';
import { readOptions, UsageError } from './options.js';

describe('the options of the bench', () => {
  it('measures everything by default', () => {
    expect(readOptions([])).toEqual(expect.objectContaining({ quick: false, docs: false, operations: OPERATIONS }));
    expect(readOptions([])?.store).toBeUndefined();
  });

  it('prefers given values to those of a quick run', () => {
    const options = readOptions(['--quick', '--ms', '1200', '--store', 'redis', '--only', 'poll']);
    expect(options).toEqual(expect.objectContaining({ quick: true, rounds: 2, ms: 1200, store: 'redis' }));
    expect(options?.operations.map(({ name }) => name)).toEqual(['poll of a job']);
  });

  it.each([
    [['--fast']],
    [['poll']],
    [['--store', 'mysql']],
    [['--only', 'nothing of the kind']],
    [['--rounds', '0']],
    [['--ms', '1e3']],
    [['--docs', '--store', 'redis']],
  ])('refuses %j, and says why', (args) => {
    expect(() => readOptions(args)).toThrow(UsageError);
  });
});
