import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contract } from '../support/client.js';
import { type Stack, startStack } from '../support/stack.js';
import { fuzz, FUZZ_ENV, type FuzzReport, successesOf } from './fuzz.js';

/**
 * Always the same, so that a test that fails has been made to fail by the change that it is run for. New ones come with
 * `npm run fuzz`, by hand and in continuous integration.
 */
const SEED = 1;

const RUNS = 50;

describe('whatever is sent to an operation of the contract', () => {
  let stack: Stack;
  let report: FuzzReport;
  beforeAll(async () => {
    stack = await startStack({ env: FUZZ_ENV });
    report = await fuzz(stack, contract, { runs: RUNS, seed: SEED });
  }, 400_000);
  afterAll(() => stack.stop());

  it('is answered as the contract says, breaks nothing, and changes nothing that it must not', () => {
    expect(report.faults.join('\n\n')).toBe('');
  });

  it('is accepted now and then, or nothing was tried', () => {
    const accepted = contract.operations.map((operation): [string, number] => {
      const tally = report.tallies.get(operation.id);
      return [operation.id, successesOf(operation).reduce((sum, status) => sum + (tally?.get(status) ?? 0), 0)];
    });
    expect(accepted.filter(([, times]) => times === 0)).toEqual([]);
  });
});
