import type { Random } from './random.js';
import { Interrupted, type SeenTurn, User, Violated } from './user.js';

export interface LoadOptions {
  /** The APIs. A client takes any of them for each call. */
  readonly urls: readonly string[];
  readonly users: number;
  /** Tells this load's users and texts from all others of the same stack. */
  readonly name: string;
  readonly random: Random;
  /** Asked before each turn; true ends the load. */
  readonly enough: (turns: number) => boolean;
  /** Ends the load in the middle of its turns. Missing answers are no violations then. */
  readonly signal?: AbortSignal;
  /** Called for each call whose connection was refused or broke. */
  readonly broken?: (call: BrokenCall) => void;
}

export interface BrokenCall {
  readonly error: Error;
  /** The purpose of the call, in words. */
  readonly what: string;
  /** The call's `X-Request-Id`. Another call may have sent the same turn. */
  readonly requestId: string;
  /** The answer had begun. */
  readonly answered: boolean;
}

/** Many users who send one turn after the other, each in another way, and who accept only right answers. */
export class Load {
  readonly violations: string[] = [];
  readonly turns: SeenTurn[] = [];
  /** Calls that were repeated. */
  repeated = 0;
  /** Turns begun so far. */
  sent = 0;

  constructor(private readonly options: LoadOptions) {}

  /** Resolves when `enough` says so, and every turn has ended. */
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
        // The next turn asks the model again for the questions that a cancel or a failure left without a reply. So no canceled turn follows.
        canceled = seen.way === 'cancel' || seen.status === 'failed';
        this.turns.push(seen);
      }
    } catch (error) {
      if (error instanceof Interrupted) return;
      // After a wrong answer a user sends no more.
      if (!(error instanceof Violated)) this.violations.push(`${user.name}: ${String(error)}`);
    }
  }
}
