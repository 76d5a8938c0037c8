import { existsSync } from 'node:fs';
import { join } from 'node:path';
import sequencer from '@jest/test-sequencer';

// What its types call the module is its class already.
const TestSequencer = sequencer as unknown as typeof sequencer.default;
type Tests = Parameters<InstanceType<typeof TestSequencer>['sort']>[0];
type Test = Tests[number];

/** The test files that take longest, by time and by work: some are of few lines. */
const LONGEST = [
  'faults/chaos',
  'browser/playground-chats',
  'e2e/shutdown',
  'e2e/outages',
  'e2e/start',
  'e2e/redis-forms',
  'browser/playground-visits',
  'faults/model',
  'e2e/data-care',
  'faults/rolling',
  'fuzz/fuzz',
  'faults/database',
  'e2e/stream',
].map((name) => join(import.meta.dirname, `../${name}.spec.js`));

/**
 * The order of the test files. Jest begins with what took longest the last time; where there was no last time, as in continuous
 * integration, with the largest file. What takes longest would begin late then, and end with nothing to do beside it.
 */
export default class LongestFirst extends TestSequencer {
  constructor(options: ConstructorParameters<typeof TestSequencer>[0]) {
    super(options);
    const gone = LONGEST.filter((path) => !existsSync(path));
    if (gone.length > 0) throw new Error(`Named in test/support/longest-first.ts, and not there: ${gone.join(', ')}`);
  }

  override async sort(tests: Tests): Promise<Test[]> {
    const place = ({ path, duration }: Test): number => {
      const found = duration === undefined ? LONGEST.indexOf(path) : -1;
      return found < 0 ? LONGEST.length : found;
    };
    const sorted = await super.sort(tests);
    // Stable: the others stay as Jest has them.
    return sorted.sort((one, other) => place(one) - place(other));
  }
}
