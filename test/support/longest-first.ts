import { existsSync } from 'node:fs';
import { join } from 'node:path';
import sequencer from '@jest/test-sequencer';

// The types say that this is the module, but it is the class.
const TestSequencer = sequencer as unknown as typeof sequencer.default;
type Tests = Parameters<InstanceType<typeof TestSequencer>['sort']>[0];
type Test = Tests[number];

/**
 * The test files that take longest, and some short ones. Files that use up the machine stand between files that mostly wait, so that few of
 * the former run at the same time.
 */
const LONGEST = [
  'faults/odd-answers',
  'faults/model',
  'e2e/outages',
  'browser/playground-chats',
  'e2e/ledger',
  'e2e/feed',
  'faults/odd-answers-of-two',
  'faults/tools-kills',
  'e2e/shutdown',
  'faults/rolling',
  'e2e/redis-forms',
  'faults/attempts',
  'e2e/stream',
  'faults/summaries',
  'faults/chaos',
  'e2e/model-check',
  'e2e/budgets-refusals',
  'e2e/assistants-tools',
  'faults/silent-database',
  'e2e/data-care',
  'e2e/windows',
  'e2e/nginx',
  'e2e/start',
  'e2e/stream-lifetimes',
  'browser/playground-visits',
  'e2e/bad-input',
  'e2e/client',
  'e2e/ai-sdk',
  'faults/database',
  'e2e/build',
  'e2e/client-package',
  'browser/stream-clients',
  'fuzz/fuzz',
  'e2e/model-holds',
  'e2e/idempotency',
  'browser/playground-replies',
].map((name) => join(import.meta.dirname, `../${name}.spec.js`));

/**
 * The order of the test files: the longest in the order above, then the others in Jest's order, which begins with those that took longest
 * in the last run. Without this order Jest would run all files that use up the machine at once. Without a last run, as in continuous
 * integration, it would begin with the largest file, and a slow one might begin late and end alone.
 */
export default class LongestFirst extends TestSequencer {
  constructor(options: ConstructorParameters<typeof TestSequencer>[0]) {
    super(options);
    const gone = LONGEST.filter((path) => !existsSync(path));
    if (gone.length > 0) throw new Error(`Named in test/support/longest-first.ts, and not there: ${gone.join(', ')}`);
  }

  override async sort(tests: Tests): Promise<Test[]> {
    const place = ({ path }: Test): number => {
      const found = LONGEST.indexOf(path);
      return found < 0 ? LONGEST.length : found;
    };
    const sorted = await super.sort(tests);
    // The sort is stable: the others stay as Jest orders them.
    return sorted.sort((one, other) => place(one) - place(other));
  }
}
