import { Account } from './account.js';
import { PromptCache } from './cache/prompt-cache.js';
import { Calls } from './calls.js';
import { Models } from './models/models.js';
import { Pauses } from './pauses.js';
import { Scripts } from './scripts.js';

/** A clock that tests may move forward, since no test can wait an hour until a cache entry expires. */
export class Clock {
  private ahead = 0;

  readonly now = (): number => Date.now() + this.ahead;

  /** Moves the clock forward, by milliseconds. @throws Error unless that is a whole number */
  pass(request: unknown): void {
    const { ms } = (request ?? {}) as Record<string, unknown>;
    if (!Number.isInteger(ms) || (ms as number) < 0) throw new Error('ms must be a whole number');
    this.ahead += ms as number;
  }
}

/** The whole state of a stand-in. */
export class State {
  readonly scripts = new Scripts();
  readonly calls = new Calls();
  readonly models = new Models();
  readonly account = new Account();
  readonly pauses = new Pauses();
  readonly clock = new Clock();
  readonly cache = new PromptCache(this.clock.now);
}
