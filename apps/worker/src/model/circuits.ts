import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { Only, Withheld } from '#jobs/claim.js';
import { removeHold, type Scope, writeHold } from '#jobs/holds.js';
import { logLine } from '#process/log-line.js';
import { Circuit, type OfUser } from './circuit.js';
import type { ModelFault } from './model-fault.js';

/** A job, with its model and its assistant. */
export interface JobOfModel extends OfUser {
  readonly model: string;
  readonly assistant: string;
}

/** An attempt should probe whether the model is back for `scope`. `afresh`: only a job that was never tried may. */
export interface Probe {
  readonly scope: Scope;
  readonly afresh: boolean;
}

/** Which jobs a worker may claim now. */
export interface Gate {
  /** The probes that should begin. */
  readonly probes: readonly Probe[];
  /** Only probes may begin. */
  readonly closed: boolean;
  /** Models and assistants whose jobs may not begin, except as probes; undefined: all may begin. */
  readonly withheld: Withheld | undefined;
  /** Attempts that may begin at once. */
  readonly room: number;
}

/** Permission for one attempt. A report of the attempt's result ends it. */
export interface Permit {
  /** The model has begun to answer. */
  answered(): void;
  /**
   * The attempt failed without an answer, in an outage or because an operator has to act.
   * @returns whether the failure counts as the model's; false: it is the job's own
   */
  failed(fault: ModelFault): boolean;
  /** The attempt shows nothing about the model. */
  unused(): void;
}

const NOTHING: Withheld = { models: [], assistants: [] };

/**
 * The circuits of this process: one for all calls, one for each model, one for each assistant. So a model that is gone, or an assistant
 * whose settings its model refuses, does not stop the others.
 */
@Injectable()
export class Circuits implements OnApplicationShutdown {
  private readonly logger = new Logger(Circuits.name);
  private readonly circuits = new Map<Scope, Circuit>();
  private change: () => void = () => undefined;
  private written: Promise<void> = Promise.resolve();

  constructor(private readonly manager: EntityManager) {}

  /** Sets the function that is called when more jobs may be claimed than before. */
  onChange(change: () => void): void {
    this.change = change;
  }

  /** Whether any calls are held back. */
  get isOpen(): boolean {
    return this.open.length > 0;
  }

  /** The scopes that are held back, and why. */
  get held(): { scope: Scope; fault: ModelFault }[] {
    return this.open.flatMap(([scope, { reason }]) => (reason === undefined ? [] : [{ scope, fault: reason }]));
  }

  /** Whether calls like this job's are held back. */
  holds(job: JobOfModel): boolean {
    return scopesOf(job).some((scope) => this.circuits.get(scope)?.isOpen === true);
  }

  /** Whether calls of this model are held back, whichever assistant makes them. */
  holdsModel(model: string): boolean {
    const circuit = this.circuits.get(`model:${model}`);
    return circuit !== undefined && (circuit.isOpen || circuit.room() === 0);
  }

  /** Which jobs may be claimed now. */
  gate(): Gate {
    // The usual case: no call has failed recently.
    if (this.circuits.size === 0) return { probes: [], closed: false, withheld: undefined, room: Infinity };
    for (const [scope, circuit] of this.circuits) if (circuit.isIdle()) this.circuits.delete(scope);
    const all = this.circuits.get('all');
    const rooms = [...this.circuits.values()].map((circuit) => circuit.room()).filter((room) => room > 0);
    const isHeld = (circuit: Circuit): boolean => circuit.isOpen || circuit.room() === 0;
    return {
      // While all calls are held back, a probe of a narrower scope would show nothing.
      probes: this.open.flatMap(([scope, circuit]) =>
        (all?.isOpen === true && scope !== 'all') || !circuit.mayTryAfresh ? [] : [{ scope, afresh: !circuit.mayTry }],
      ),
      closed: all !== undefined && isHeld(all),
      withheld: [...this.circuits.values()].some(isHeld) ? this.withheld(isHeld) : undefined,
      room: Math.min(Infinity, ...rooms),
    };
  }

  /** Which jobs may make this probe, and which may not, because another scope holds them back for longer. */
  probe({ scope, afresh }: Probe): { only: Only; withheld: Withheld } {
    const [kind, name] = [scope.slice(0, scope.indexOf(':')), scope.slice(scope.indexOf(':') + 1)];
    const only = scope === 'all' ? {} : kind === 'model' ? { model: name } : { assistant: name };
    return { only, withheld: this.waiting(afresh) ?? NOTHING };
  }

  /** The scopes that may not even be probed yet (`afresh`: not even by jobs that were never tried); undefined: no scope is held back. */
  waiting(afresh = false): Withheld | undefined {
    if (!this.isOpen) return undefined;
    return this.withheld(({ isOpen, mayTry, mayTryAfresh }) => isOpen && !(afresh ? mayTryAfresh : mayTry));
  }

  /** Permission for a claimed attempt. @param probes the attempt probes in each scope in which a probe should begin */
  begin(job: JobOfModel, probes = false): Permit {
    const trials = new Map(
      scopesOf(job).flatMap((scope) => {
        const circuit = this.circuits.get(scope);
        return circuit === undefined ? [] : [[scope, circuit.begin(probes && circuit.mayTryAfresh)] as const];
      }),
    );
    let over = false;
    const each = (visit: (trial: ReturnType<Circuit['begin']>) => void): void => {
      if (over) return;
      over = true;
      for (const trial of trials.values()) visit(trial);
    };
    return {
      answered: () => each((trial) => trial.answered()),
      failed: (fault) => {
        if (over) return true;
        over = true;
        const scope = fault.operator === undefined ? scopeOf('model', job) : scopeOf(fault.operator, job);
        const trial = trials.get(scope) ?? this.circuit(scope).begin(false);
        trials.delete(scope);
        const counts = trial.failed(job, fault);
        for (const other of trials.values()) other.unused();
        return counts;
      },
      unused: () => each((trial) => trial.unused()),
    };
  }

  onApplicationShutdown(): void {
    for (const circuit of this.circuits.values()) circuit.stop();
  }

  private get open(): [Scope, Circuit][] {
    return [...this.circuits].filter(([, { isOpen }]) => isOpen);
  }

  /** The models and assistants of the circuits for which `holds` is true. */
  private withheld(holds: (circuit: Circuit) => boolean): Withheld {
    const names = (kind: string): string[] =>
      [...this.circuits].flatMap(([scope, circuit]) =>
        scope.startsWith(`${kind}:`) && holds(circuit) ? [scope.slice(kind.length + 1)] : [],
      );
    return { models: names('model'), assistants: names('assistant') };
  }

  private circuit(scope: Scope): Circuit {
    const found = this.circuits.get(scope);
    if (found !== undefined) return found;
    const circuit = new Circuit({
      opened: (ms, fault) => {
        this.logger.warn(
          logLine(
            `${awayWords(scope, fault)}: no attempt begins for ${ms} ms`,
            { code: fault.code },
            fault.operator && fault,
          ),
        );
        this.write(() => writeHold(this.manager, { scope, code: fault.code, message: fault.message, ms }));
      },
      mayTry: () => this.change(),
      closed: (how) => {
        const what = how === 'answered' ? 'the model is back' : 'no attempt has probed the model for long';
        this.logger.log(`${what} (${scope})`);
        this.write(() => removeHold(this.manager, scope));
        this.change();
      },
    });
    this.circuits.set(scope, circuit);
    return circuit;
  }

  /**
   * Writes the rows of holds, which operators read. The writes run one after the other, so that the last one wins. The circuits themselves
   * work without the database.
   */
  private write(writing: () => Promise<void>): void {
    this.written = this.written
      .then(writing)
      .catch((error: unknown) => this.logger.debug(logLine('cannot store the hold', {}, error)));
  }
}

function awayWords(scope: Scope, fault: ModelFault): string {
  if (fault.operator === undefined) return `the model is away (${scope})`;
  return `an operator has to act (${scope}): ${fault.message}`;
}

function scopesOf({ model, assistant }: JobOfModel): Scope[] {
  return ['all', `model:${model}`, `assistant:${assistant}`];
}

function scopeOf(concern: 'all' | 'model' | 'assistant', job: JobOfModel): Scope {
  return concern === 'all' ? 'all' : `${concern}:${concern === 'model' ? job.model : job.assistant}`;
}
