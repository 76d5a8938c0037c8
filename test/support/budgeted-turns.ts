import type { DataSource } from 'typeorm';
import { newId } from '#database/ids.js';
import { acceptReply, acceptTurn } from '#jobs/accept.js';
import { claim, type ClaimedJob } from '#jobs/claim.js';
import { type Budget, BudgetExhausted, type Budgets, NO_BUDGETS } from '#limits/budgets.js';
import { NO_LIMITS } from '#limits/user-limits.js';

/** A turn with the assistant `a` of `startStatementsDatabase`: one token for `hello`, and the longest reply. */
export const RESERVED_TOKENS = 101;

/** The same in money, by {@link PRICE}: a token that is written to the cache for 5 minutes, and 100 of output. */
export const RESERVED_COST = 0.20125;

/** The price of a million tokens of the model `m`. */
const PRICE = { input: 1_000, output: 2_000, cache_read: 100, cache_write_5m: 1_250, cache_write_1h: 2_000 };

/** A plain reply, as an attempt ends with it. */
export const ENDED = {
  content: 'done',
  model: 'm',
  stopReason: 'end_turn',
  status: 'complete',
  stopDetails: null,
  steps: 0,
  lastText: 'done',
  windowFromSeq: null,
  otherParts: null,
  contextTokens: null,
  leftOut: false,
} as const;

/** A turn that was sent. */
export interface Sent {
  readonly jobId: string;
  readonly chatId: string;
  readonly userId: string;
}

/** Turns with a budgeted assistant, by the statements themselves. */
export class BudgetedTurns {
  private begun = 0;

  constructor(private readonly source: DataSource) {}

  /** Gives the model its prices. */
  async price(): Promise<void> {
    await this.source.query(`UPDATE deployment SET currency = 'USD'`);
    await this.source.query(
      `INSERT INTO prices (model, input, output, cache_read, cache_write_5m, cache_write_1h) VALUES ('m', $1, $2, $3, $4, $5)`,
      Object.values(PRICE),
    );
  }

  /** Adds an assistant like `a`. @returns its slug */
  async assistant(costPerDay: number | null): Promise<string> {
    const slug = `a-${newId()}`;
    await this.source.query(
      `INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens, cost_per_day)
       VALUES ($1, 'A', 'D', 'P', 'W', 'm', 100, $2)`,
      [slug, costPerDay],
    );
    return slug;
  }

  /** Makes a chat. @returns its id */
  async chat(userId: string, slug: string, status = 'active'): Promise<string> {
    const id = newId();
    await this.source.query('INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, $3, $4)', [
      id,
      userId,
      slug,
      status,
    ]);
    return id;
  }

  /** Sends a turn. @returns it, or the budget that has no room @throws Error if anything else is in the way */
  async send(userId: string, chatId: string, budgets: Partial<Budgets>, limits = NO_LIMITS): Promise<Sent | Budget> {
    const jobId = newId();
    const turn = { assistantSlug: undefined, content: 'hello', metadata: {}, requestId: 'r', requestKey: undefined };
    const accept = acceptTurn(this.source.manager, { jobId, chatId, userId, ...turn }, limits, {
      ...NO_BUDGETS,
      ...budgets,
    });
    return this.outcome(accept, { jobId, chatId, userId });
  }

  /** Asks for the reply to a stored message. The result is as of {@link send}. */
  async ask(userId: string, chatId: string, budgets: Partial<Budgets>): Promise<Sent | Budget> {
    await this.source.query(
      `WITH chat AS (UPDATE chats SET last_seq = last_seq + 1 WHERE id = $1 RETURNING id, last_seq)
       INSERT INTO messages (id, chat_id, seq, role, content) SELECT gen_random_uuid(), id, last_seq, 'user', 'hello' FROM chat`,
      [chatId],
    );
    const jobId = newId();
    const reply = { jobId, chatId, userId, requestId: 'r', requestKey: undefined };
    return this.outcome(acceptReply(this.source.manager, reply, NO_LIMITS, { ...NO_BUDGETS, ...budgets }), {
      jobId,
      chatId,
      userId,
    });
  }

  /** Begins an attempt at this job. */
  async begin(jobId: string): Promise<ClaimedJob> {
    this.begun += 1;
    await this.source.query(`UPDATE jobs SET round = $2 WHERE id = $1`, [jobId, -this.begun]);
    const [job] = (await claim(this.source.manager, { most: 1, lost: [jobId] })).jobs;
    if (job?.id !== jobId) throw new Error('Another job was claimed.');
    return job;
  }

  private async outcome(accepting: Promise<unknown>, sent: Sent): Promise<Sent | Budget> {
    try {
      if ((await accepting) === undefined) throw new Error('The turn met another obstacle.');
      return sent;
    } catch (error) {
      if (error instanceof BudgetExhausted) return error.budget;
      throw error;
    }
  }
}

/** Whether the turn was accepted. */
export const wasAccepted = (outcome: Sent | Budget): outcome is Sent => typeof outcome !== 'string';
