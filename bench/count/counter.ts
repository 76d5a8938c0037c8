import { isBackgroundCommand, isBackgroundStatement } from './background.js';
import { PostgresEars, type RoundTrip } from './postgres-ears.js';
import { type Command, RedisEars } from './redis-ears.js';
import type { Ears } from './relay.js';
import { commandLabel, flat, statementLabel } from './labels.js';

/** Who asks. */
export type Asker = 'api' | 'worker';

/** For what: the process's own statements; the queue, on whichever store; notices and the text of replies. */
export type Purpose = 'sql' | 'queue' | 'feed';

/** So often something was said. */
export interface Noted {
  readonly asker: Asker;
  readonly purpose: Purpose;
  /** What was said, in brief. */
  readonly label: string;
  count: number;
  /** Of commands to Redis: those that others went with, or that went alone. Of statements all. */
  batches: number;
}

/** Nothing more was said for so long, in milliseconds: longer than text is gathered for. */
const QUIET_MS = 80;
const LOOK_EVERY_MS = 10;

/** Counts what processes ask of their stores, without what they say by the clock (`background.ts`). */
export class Counter {
  private notes = new Map<string, Noted>();
  private last = 0;

  /** For one connection to PostgreSQL. */
  postgres(asker: Asker): Ears {
    const note = (trip: RoundTrip): void => this.note(asker, purposeOf(trip), statementLabel(trip.text), true);
    return new PostgresEars(transactions(note));
  }

  /** For one connection to Redis. */
  redis(asker: Asker): Ears {
    return new RedisEars(({ name, leads }: Command) => {
      const label = commandLabel(name);
      if (isBackgroundCommand(label)) return;
      const feed = label === 'PUBLISH' || label === 'SUBSCRIBE' || label === 'UNSUBSCRIBE';
      this.note(asker, feed ? 'feed' : 'queue', label, leads);
    });
  }

  /** What was said since this was asked last. */
  take(): Noted[] {
    const taken = [...this.notes.values()];
    this.notes = new Map();
    return taken;
  }

  /** Resolves once what is under way has ended: a turn's ticket is put away behind its answer. */
  async quiet(): Promise<void> {
    this.last = performance.now();
    while (performance.now() - this.last < QUIET_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }

  private note(asker: Asker, purpose: Purpose, label: string, leads: boolean): void {
    this.last = performance.now();
    const key = `${asker} ${purpose} ${label}`;
    let noted = this.notes.get(key);
    if (noted === undefined) this.notes.set(key, (noted = { asker, purpose, label, count: 0, batches: 0 }));
    noted.count += 1;
    if (leads) noted.batches += 1;
  }
}

function purposeOf({ session }: RoundTrip): Purpose {
  if (session.includes('queue')) return 'queue';
  return session.endsWith('-feed') ? 'feed' : 'sql';
}

/** Begin and end of a transaction say nothing of what it is for: they count, or do not, with what is within. One for each connection. */
function transactions(note: (trip: RoundTrip) => void): (trip: RoundTrip) => void {
  let begin: RoundTrip | undefined;
  let background = false;
  return (trip) => {
    const text = flat(trip.text);
    if (/^(?:BEGIN|START TRANSACTION)\b/.test(text)) {
      begin = trip;
      return;
    }
    if (!/^(?:COMMIT|ROLLBACK)\b/.test(text)) background = isBackgroundStatement(text);
    if (background) begin = undefined;
    if (begin !== undefined) note(begin);
    begin = undefined;
    if (!background) note(trip);
  };
}
