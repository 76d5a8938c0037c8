import { has } from '../test/support/machine.js';
import { countSide } from './count/side.js';
import { measure, type Measured } from './measure.js';
import { memoryMb } from './meter.js';
import { type Options, readOptions, USAGE, UsageError } from './options.js';
import { postgresSettings, thisCommit, thisMachine, versions } from './report/machine.js';
import { type Report, STORE_NAMES, type StoreReport, withoutRatio } from './report/report.js';
import { asText, goalsInWords, ratioInWords } from './report/table.js';
import { writeDocs, writeReport } from './report/write.js';
import { startSides, type Store } from './sides.js';
import { Started } from './started.js';

/*
 * `npm run bench`: measures the service beside a bare ceiling, in one run, with the queue on each store. It starts all it needs.
 * docs/performance.md says what it measures, and how to read it.
 */

/** Chats to which turns are sent. */
const STARTERS = 2_000;

const asked = options();
const started = new Started();
let signalled = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    signalled = true;
    void started.stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  });
}
try {
  await run(asked);
} catch (error) {
  // The processes are being stopped, so their errors mean nothing.
  if (!signalled) throw error;
} finally {
  await started.stop();
}

function options(): Options {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== undefined) return read;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function run(options: Options): Promise<void> {
  const begun = performance.now();
  // At the beginning, because there may be another commit at the end.
  const commit = thisCommit();
  const stores: StoreReport[] = [];
  const missing: string[] = [];
  for (const store of options.store === undefined ? (['postgres', 'redis'] as const) : [options.store]) {
    if (store === 'redis' && !has('redis-server')) {
      missing.push('the queue on Redis: there is no redis-server on this machine.');
      continue;
    }
    const report = await measureStore(store, options);
    console.log(asText(report));
    stores.push(report);
  }
  for (const what of missing) console.log(`\nNot measured: ${what}`);
  console.log(`\n${goalsInWords(stores)}`);
  const report: Report = {
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    date: new Date().toISOString(),
    commit,
    machine: thisMachine(),
    versions: versions(),
    rounds: options.rounds,
    ms: options.ms,
    seconds: (performance.now() - begun) / 1_000,
    stores,
    missing,
  };
  const written = [...(await writeReport(report, options.out)), ...(options.docs ? await writeDocs(report) : [])];
  console.log(`\n${report.seconds.toFixed(0)} s in all. Written: ${written.join(', ')}`);
  const unsound = withoutRatio(report);
  if (stores.length === 0 || unsound.length > 0) {
    console.error(`Without a ratio: ${unsound.join(', ') || 'everything'}.`);
    process.exitCode = 1;
  }
}

/** Starts both sides with their queue on one store, measures them, and ends them. */
async function measureStore(store: Store, { operations, rounds, ms, profiles }: Options): Promise<StoreReport> {
  console.log(`\nThe queue on ${STORE_NAMES[store]}: starting both sides …`);
  const these = new Started();
  started.push(() => these.stop());
  try {
    const sides = await startSides(store, STARTERS, these, profiles);
    const { rejoinder, ceiling } = sides;
    const idleMb = { rejoinder: await memoryMb(rejoinder.parts), ceiling: await memoryMb(ceiling.parts) };
    const measured: Measured[] = [];
    for (const operation of operations) {
      const one = await measure(operation, sides, rounds, ms);
      console.log(`  ${one.name}: ratio ${ratioInWords(one)}`);
      measured.push(one);
    }
    const counts = { rejoinder: await countSide(rejoinder, these), ceiling: await countSide(ceiling, these) };
    return { store, postgres: await postgresSettings(rejoinder.database), idleMb, operations: measured, counts };
  } finally {
    await these.stop();
  }
}
