import { isBackgroundCommand, isBackgroundStatement } from './background.js';
import { PostgresTap, type RoundTrip } from './postgres-tap.js';
import { type Command, RedisTap } from './redis-tap.js';
import type { Tap } from './relay.js';
import { commandLabel, flat, statementLabel } from './labels.js';

/** The process that asks. */
export type Asker = 'api' | 'worker';

/** The purpose: the process's own statements; the queue, on either store; notices and the text of replies. */
export type Purpose = 'sql' | 'queue' | 'feed';

/** A statement or command, and how often it was sent. */
export interface Noted {
  readonly asker: Asker;
  readonly purpose: Purpose;
  /** Its short name. */
  readonly label: string;
  count: number;
  /** For Redis: how many batches of commands there were. For PostgreSQL: all statements. */
  batches: number;
}

/** In milliseconds. When nothing was sent for so long, the operation has ended; text is gathered for a shorter time. */
const QUIET_MS = 80;
const LOOK_EVERY_MS = 10;

/** Counts what processes ask of their stores, except what they send by the clock (`background.ts`). */
export class Counter {
  private notes = new Map<string, Noted>();
  private last = 0;

  /** Reads one connection to PostgreSQL. */
  postgres(asker: Asker): Tap {
    const note = (trip: RoundTrip): void => this.note(asker, purposeOf(trip), statementLabel(trip.text), true);
    return new PostgresTap(transactions(note));
  }

  /** Reads one connection to Redis. */
  redis(asker: Asker): Tap {
    return new RedisTap(({ name, leads }: Command) => {
      const label = commandLabel(name);
      if (isBackgroundCommand(label)) return;
      const feed = label === 'PUBLISH' || label === 'SUBSCRIBE' || label === 'UNSUBSCRIBE';
      this.note(asker, feed ? 'feed' : 'queue', label, leads);
    });
  }

  /** The counts since the last call. */
  take(): Noted[] {
    const taken = [...this.notes.values()];
    this.notes = new Map();
    return taken;
  }

  /** Resolves once nothing is under way. A turn's ticket is removed only after the turn is answered. */
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

/** A transaction's begin and end count only if a statement between them counts. One instance for each connection. */
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
