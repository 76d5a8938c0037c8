import { parseArgs } from 'node:util';
import { portRange } from '../support/steady-port.js';
import { chaos, type ChaosReport, inWords } from './chaos.js';
import { Fleet } from './fleet.js';
import { anySeed } from './random.js';

/*
 * `npm run dev -- soak MINUTES [SEED] [--ports FROM-TO]`: rounds of load and harm, each followed by a check of all that is left. Ends with
 * 1 when a check failed. Ctrl-C ends it in order. With `--ports`, all servers listen on ports of that range.
 */

const DEFAULT_MINUTES = 10;
const ROUND_MS = 45_000;
const USERS = 20;

/** The stand-in remembers this many calls. A new fleet begins before it forgets the first. */
const MOST_TURNS_OF_A_FLEET = 10_000;

/** The number of servers at the same time, with room for replacements. */
const FEWEST_PORTS = 20;

function usage(): never {
  console.error(
    `npm run dev -- soak MINUTES [SEED] [--ports FROM-TO], ${FEWEST_PORTS} ports or more (also by TEST_PORTS=FROM-TO)`,
  );
  process.exit(2);
}

function options(): readonly [minutes: string, seed: string] {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { ports: { type: 'string' } } });
    const [minutes = String(DEFAULT_MINUTES), seed = String(anySeed())] = positionals;
    const ports = values.ports ?? process.env['TEST_PORTS'];
    if (ports !== undefined) {
      const [lowest, highest] = portRange(ports);
      if (highest - lowest + 1 < FEWEST_PORTS) usage();
      process.env['TEST_PORTS'] = ports;
    }
    if (!(Number(minutes) > 0) || !/^\d+$/.test(seed) || positionals.length > 2) usage();
    return [minutes, seed];
  } catch {
    return usage();
  }
}
const [minutes, firstSeed] = options();

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!interrupted.signal.aborted) console.log('Stopping: the round under way is not checked.');
    interrupted.abort();
  });
}

const end = Date.now() + Number(minutes) * 60_000;
const reports: ChaosReport[] = [];
const seen = new Set<string>();
let fleet: Fleet | undefined;
let turnsOfFleet = 0;
console.log(
  `${minutes} minutes, queue on ${process.env['TEST_QUEUE'] === 'redis' ? 'Redis' : 'PostgreSQL'}, seed ${firstSeed}`,
);
try {
  for (let round = 1; Date.now() < end && !interrupted.signal.aborted; round++) {
    if (turnsOfFleet > MOST_TURNS_OF_A_FLEET) {
      await fleet?.stop();
      fleet = undefined;
      turnsOfFleet = 0;
    }
    fleet ??= await Fleet.start(interrupted.signal);
    const report = await chaos(fleet, {
      seed: Number(firstSeed) + round - 1,
      name: `round-${round}`,
      users: USERS,
      forMs: Math.min(ROUND_MS, Math.max(0, end - Date.now())),
      turns: 1,
      signal: interrupted.signal,
    });
    if (report === undefined) break;
    turnsOfFleet += report.turns;
    // The sweep also sees earlier rounds of the same fleet.
    const violations = report.violations.filter((violation) => !seen.has(violation));
    violations.forEach((violation) => seen.add(violation));
    reports.push({ ...report, violations });
    console.log(`round ${round}, ${inWords({ ...report, violations })}`);
  }
} catch (error) {
  // Ctrl-C also reaches the processes that are being started.
  if (!interrupted.signal.aborted) {
    process.exitCode = 1;
    console.error(error);
  }
} finally {
  await fleet?.stop();
}

const sum = (of: (report: ChaosReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
const violations = sum((report) => report.violations.length);
console.log(
  `${reports.length} rounds: ${sum(({ turns }) => turns)} turns (${sum(({ canceled }) => canceled)} canceled), ` +
    `${sum(({ deeds }) => deeds.length)} deeds, ${sum(({ repeated }) => repeated)} calls repeated, ` +
    `${sum(({ attemptsLost }) => attemptsLost)} attempts begun anew, ${violations} violations`,
);
if (violations > 0) process.exitCode = 1;
