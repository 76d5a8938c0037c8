import { parseArgs } from 'node:util';
import { measure, type Measured } from './measure.js';
import { memoryMb } from './meter.js';
import { OPERATIONS } from './operations.js';
import { type Sides, startSides, type Store } from './sides.js';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    store: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string' },
    ms: { type: 'string' },
    profiles: { type: 'string' },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
const ms = Number(values.ms ?? (values.quick ? 800 : 3_000));
const stores: Store[] = values.store ? [values.store as Store] : ['postgres', 'redis'];

for (const store of stores) {
  const sides: Sides = await startSides(store, 4_000, values.profiles);
  try {
    console.log(store, 'idle', await memoryMb(sides.rejoinder.parts), await memoryMb(sides.ceiling.parts));
    for (const operation of OPERATIONS) {
      if (values.only && !operation.name.includes(values.only)) continue;
      const m: Measured = await measure(operation, sides, rounds, ms);
      const f = (x: typeof m.rejoinder) =>
        `${x.perSecond.toFixed(0)}/s p50 ${x.p50.toFixed(1)} p99 ${x.p99.toFixed(1)} err ${x.errors} ${x.fault ?? ''} cpu ${Object.entries(
          x.cpuMs,
        )
          .map(([k, v]) => `${k} ${v.toFixed(2)}`)
          .join(' ')}`;
      console.log(
        `${m.name}: ratio ${m.ratio?.toFixed(2)} (${m.ratios.map((r) => r.toFixed(2)).join(' ')}) goal ${m.goal}\n   ours ${f(m.rejoinder)}\n   ceil ${f(m.ceiling)}`,
      );
    }
    console.log(store, 'after', await memoryMb(sides.rejoinder.parts), await memoryMb(sides.ceiling.parts));
  } finally {
    await sides.stop();
  }
}
