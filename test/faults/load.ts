import type { Random } from './random.js';
import { Interrupted, type SeenTurn, User, Violated } from './user.js';

export interface LoadOptions {
  /** The APIs; a client takes any of them for each call. */
  readonly urls: readonly string[];
  readonly users: number;
  /** Sets this load's users and texts apart from all others of the same stack. */
  readonly name: string;
  readonly random: Random;
  /** Asked before each turn. */
  readonly enough: (turns: number) => boolean;
  /** Ends the load in the middle of its turns; what was not answered then is no violation. */
  readonly signal?: AbortSignal;
  /** Told of each call whose connection was refused or broke. */
  readonly broken?: (call: BrokenCall) => void;
}

export interface BrokenCall {
  readonly error: Error;
  /** What it was for, in words. */
  readonly what: string;
  /** What it was told apart by (`X-Request-Id`): the same turn may have been sent by another call as well. */
  readonly requestId: string;
  /** The answer had begun. */
  readonly answered: boolean;
}

/** Many users who send one turn after the other, each in a way of its own, and take no answer but the right one. */
export class Load {
  readonly violations: string[] = [];
  readonly turns: SeenTurn[] = [];
  /** Calls that had to be made again. */
  repeated = 0;
  /** Turns begun so far. */
  sent = 0;

  constructor(private readonly options: LoadOptions) {}

  /** Resolves when there is enough, and every turn has ended. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.options.users }, (_, n) => this.user(n)));
  }

  private async user(n: number): Promise<void> {
    const { name, random, enough } = this.options;
    const user = new User(`${name}-user-${n}`, this.options, random.fork(n), {
      violation: (words) => void this.violations.push(words),
      repeated: () => void (this.repeated += 1),
    });
    let canceled = false;
    try {
      const chatId = await user.open();
      for (let turn = 1; !enough(this.sent); turn++) {
        this.sent += 1;
        const seen = await user.turn(chatId, turn, canceled);
        // What a cancel leaves without a reply is asked once more with the next turn: never much of it.
        canceled = seen.way === 'cancel';
        this.turns.push(seen);
      }
    } catch (error) {
      if (error instanceof Interrupted) return;
      // A user who was answered wrongly sends no more.
      if (!(error instanceof Violated)) this.violations.push(`${user.name}: ${String(error)}`);
    }
  }
}
