import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contract } from '../support/client.js';
import { type Stack, startStack } from '../support/stack.js';
import { fuzz, FUZZ_ENV, type FuzzReport, successesOf } from './fuzz.js';

/**
 * The seed is fixed, so that a failure comes from the change under test. `npm run fuzz`, by hand and in continuous integration, takes new
 * ones.
 */
const SEED = 1;

const RUNS = 50;

describe('every request to an operation of the contract', () => {
  let stack: Stack;
  let report: FuzzReport;
  beforeAll(async () => {
    stack = await startStack({ env: FUZZ_ENV });
    report = await fuzz(stack, contract, { runs: RUNS, seed: SEED });
  }, 400_000);
  afterAll(() => stack.stop());

  it('is answered as the contract says, breaks nothing, and changes only what it may', () => {
    expect(report.faults.join('\n\n')).toBe('');
  });

  it('is accepted now and then, since otherwise nothing was tested', () => {
    const accepted = contract.operations.map((operation): [string, number] => {
      const tally = report.tallies.get(operation.id);
      return [operation.id, successesOf(operation).reduce((sum, status) => sum + (tally?.get(status) ?? 0), 0)];
    });
    expect(accepted.filter(([, times]) => times === 0)).toEqual([]);
  });
});
