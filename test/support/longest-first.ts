import { existsSync } from 'node:fs';
import { join } from 'node:path';
import sequencer from '@jest/test-sequencer';

// By its types this is the module; it is the class.
const TestSequencer = sequencer as unknown as typeof sequencer.default;
type Tests = Parameters<InstanceType<typeof TestSequencer>['sort']>[0];
type Test = Tests[number];

/** The test files that take longest, although some of them are short: each is begun while enough others are left to run beside it. */
const LONGEST = [
  'faults/odd-answers',
  'faults/model',
  'e2e/feed',
  'e2e/outages',
  'faults/odd-answers-of-two',
  'browser/playground-chats',
  'e2e/ledger',
  'e2e/shutdown',
  'faults/rolling',
  'e2e/redis-forms',
  'e2e/stream',
  'faults/attempts',
  'faults/chaos',
  'e2e/data-care',
  'e2e/client',
  'e2e/start',
  'e2e/model-check',
  'browser/playground-visits',
  'faults/silent-database',
  'e2e/ai-sdk',
  'e2e/build',
  'e2e/nginx',
  'e2e/stream-lifetimes',
  'faults/database',
  'browser/stream-clients',
  'e2e/bad-input',
  'fuzz/fuzz',
  'e2e/model-holds',
  'e2e/idempotency',
  'browser/playground-replies',
].map((name) => join(import.meta.dirname, `../${name}.spec.js`));

/**
 * The order of the test files. Jest begins with those that took longest the last time. Without a last time, as in continuous integration,
 * it begins with the largest file, and a long-running one may begin late and end alone.
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
    // The sort is stable: the others stay as Jest orders them.
    return sorted.sort((one, other) => place(one) - place(other));
  }
}
