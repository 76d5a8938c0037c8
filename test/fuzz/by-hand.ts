import { Contract } from '../support/contract.js';
import { startStack } from '../support/stack.js';
import { fuzz, FUZZ_ENV, successesOf } from './fuzz.js';

/*
 * `npm run fuzz`: thousands of requests for every operation. FUZZ_RUNS sets the number for each, FUZZ_SEED and FUZZ_PATH repeat a fault,
 * FUZZ_ONLY names one operation, and FUZZ_SECONDS ends it sooner. Ends with 1 when it has found a fault.
 */

const RUNS = 2_000;

/** With this many requests for an operation, each of its successes must be among the answers. */
const ENOUGH = 1_000;

const { FUZZ_RUNS, FUZZ_SEED, FUZZ_PATH, FUZZ_ONLY, FUZZ_SECONDS } = process.env;
const runs = Number(FUZZ_RUNS ?? RUNS);
const seed = Number(FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const seconds = Number(FUZZ_SECONDS ?? Infinity);
if (!(runs > 0) || !Number.isInteger(seed) || !(seconds > 0)) {
  console.error('FUZZ_RUNS=2000 FUZZ_SEED=1 FUZZ_PATH=12:3 FUZZ_ONLY=getJob FUZZ_SECONDS=60 npm run fuzz');
  process.exit(2);
}

const contract = new Contract();
const stack = await startStack({ ownPostgres: true, env: FUZZ_ENV });
console.log(`seed ${seed}, ${runs} requests for each operation`);
const began = Date.now();
try {
  const { tallies, faults } = await fuzz(stack, contract, {
    runs,
    seed,
    path: FUZZ_PATH,
    only: FUZZ_ONLY,
    until: began + seconds * 1_000,
  });
  const took = (Date.now() - began) / 1_000;
  let all = 0;
  for (const operation of contract.operations) {
    const tally = tallies.get(operation.id);
    if (tally === undefined) continue;
    const sum = [...tally.values()].reduce((total, n) => total + n, 0);
    all += sum;
    const counts = [...tally].sort(([a], [b]) => Number(a) - Number(b)).map(([status, n]) => `${status}: ${n}`);
    console.log(`${operation.id.padEnd(28)} ${String(sum).padStart(6)}   ${counts.join('  ')}`);
    if (sum === 0) faults.push(`${operation.id} was never asked for`);
    const never = successesOf(operation).filter((status) => !tally.has(status));
    if (sum >= ENOUGH && never.length > 0) faults.push(`${operation.id} never answered ${never.join(' or ')}`);
  }
  for (const fault of faults) console.error(`\n${fault}`);
  console.log(
    `${all} requests in ${took.toFixed(1)} s (${Math.round(all / took)} a second), seed ${seed}: ${faults.length} faults`,
  );
  if (faults.length > 0) process.exitCode = 1;
} finally {
  await stack.stop();
}
