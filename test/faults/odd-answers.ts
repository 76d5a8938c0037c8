import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import type { Client } from '../support/client.js';
import { Pace } from '../support/pace.js';
import type { Stack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

/** An answer that fails, and the end of its turn. */
interface Odd {
  readonly name: string;
  readonly script: object;
  /** The job's final state. */
  readonly status: 'failed' | 'succeeded';
  readonly code?: string;
  /** The most attempts, and the most answers that are billed. */
  readonly attempts: number;
  readonly paid: number;
  /** Entries of the ledger, if they are more than the attempts: a paused answer is continued by further steps. */
  readonly entries?: number;
}

const TEXT = ['so ', 'far'];

/** However odd an answer is, its model is there. */
const ODD: readonly Odd[] = [
  { name: 'empty', script: { empty_content: true }, status: 'failed', code: 'answer_empty', attempts: 2, paid: 2 },
  { name: 'blank', script: { pieces: [' \n'] }, status: 'failed', code: 'answer_empty', attempts: 2, paid: 2 },
  {
    name: 'only thoughts',
    script: { blocks: [{ type: 'thinking', tokens: 50 }, { type: 'redacted_thinking' }] },
    status: 'failed',
    code: 'answer_empty',
    attempts: 2,
    paid: 2,
  },
  {
    name: 'a tool call',
    script: { blocks: [{ type: 'tool_use', name: 'rm', input: { path: '/' } }], stop_reason: 'tool_use' },
    status: 'failed',
    code: 'model_rejected',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'a pause after a pause',
    script: {
      blocks: [{ type: 'server_tool_use', name: 'web_search', input: { query: 'x' } }],
      stop_reason: 'pause_turn',
    },
    status: 'failed',
    code: 'answer_paused',
    attempts: 1,
    paid: 9,
    entries: 9,
  },
  {
    name: 'out of context',
    script: { empty_content: true, stop_reason: 'model_context_window_exceeded' },
    status: 'failed',
    code: 'context_exceeded',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'refused without a word',
    script: { empty_content: true, stop_reason: 'refusal' },
    status: 'succeeded',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'all room thought away',
    script: { blocks: [{ type: 'thinking', tokens: 50 }], stop_reason: 'max_tokens' },
    status: 'succeeded',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'cut',
    script: { pieces: TEXT, cut_after: 1 },
    status: 'failed',
    code: 'answer_broken',
    attempts: 5,
    paid: 5,
  },
  {
    name: 'without an end',
    script: { pieces: TEXT, end_without_stop: true },
    status: 'failed',
    code: 'answer_broken',
    attempts: 5,
    paid: 5,
  },
  {
    name: 'silent',
    script: { pieces: TEXT, stall_after: 1 },
    status: 'failed',
    code: 'answer_broken',
    attempts: 5,
    paid: 5,
  },
  {
    name: 'overloaded within',
    script: { pieces: TEXT, error_event_after: 1, error_type: 'overloaded_error' },
    status: 'failed',
    code: 'answer_broken',
    attempts: 5,
    paid: 5,
  },
  {
    name: 'refused within',
    script: { pieces: TEXT, error_event_after: 0, error_type: 'invalid_request_error' },
    status: 'failed',
    code: 'model_rejected',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'no key within',
    script: { pieces: TEXT, error_event_after: 0, error_type: 'authentication_error' },
    status: 'failed',
    code: 'model_unauthorized',
    attempts: 1,
    paid: 1,
  },
  {
    name: 'rejected',
    script: { status: 400, error_type: 'invalid_request_error', message: 'messages.0: no' },
    status: 'failed',
    code: 'model_rejected',
    attempts: 1,
    paid: 0,
  },
  {
    name: 'too long',
    script: { status: 413, error_type: 'request_too_large' },
    status: 'failed',
    code: 'message_too_long',
    attempts: 1,
    paid: 0,
  },
];

/** Faults of a few turns only, which look like an outage or an operator's fault from outside. */
const DOUBTFUL: readonly [name: string, script: object, code: string][] = [
  ['failing', { status: 500, error_type: 'api_error' }, 'model_unavailable'],
  ['no answer at all', { hang_before_headers: true }, 'model_unavailable'],
  ['the key refused', { status: 401, error_type: 'authentication_error' }, 'model_unauthorized'],
  ['no right', { status: 403, error_type: 'permission_error' }, 'model_unauthorized'],
  [
    'no credit',
    { status: 400, error_type: 'invalid_request_error', message: 'Your credit balance is too low to access.' },
    'model_budget',
  ],
];

/** The promise to everybody else, in milliseconds. */
const SERVED_MS = 3_000;

/** By the machine's pace, in milliseconds: it stood still for so long that requests waited in vain for others to be done. */
const STILL_MS = 2_000;

/** Requests that were told to come again. */
let refused = 0;

/** Asks until the answer is another than to come again (503). */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!String(error).includes('got 503')) throw error;
      refused += 1;
      await pause(1_000);
    }
  }
}

/** Sends a turn in the user's chat. @returns the ids of the job and the chat */
async function turnOf(user: Client, text: string): Promise<{ id: string; chatId: string }> {
  const chat = await insist(() => user.chat());
  return { id: (await insist(() => user.turnAsync(chat.id, text))).id, chatId: chat.id };
}

/** Sends one turn more than the chat takes: a chat that was archived with its turn in flight makes room for the next. */
async function oneOfSeveral(user: Client, text: string): Promise<string> {
  const { id, chatId } = await turnOf(user, text);
  await user.patch(`/api/v1/chats/${chatId}`, { status: 'archived' });
  return id;
}

/** Describes it. Each number of workers has a test file of its own: most of it is waiting, which the two do beside each other. */
export function describeOddAnswers(workers: 1 | 2): void {
  describe(`odd answers, with ${workers} workers`, () => tests(workers));
}

function tests(workers: 1 | 2): void {
  // A turn that ends with its first attempt meets one worker, however many there are.
  const kinds = workers === 1 ? ODD : ODD.filter(({ attempts }) => attempts > 1);
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({
      ownWorkers: workers,
      workerEnv: { MODEL_IDLE_SECONDS: '3', MODEL_TOTAL_SECONDS: '10' },
    });
  });
  afterAll(() => stopSound(stack));

  /**
   * Seven turns of one user, and fifteen of fifteen users: three times as many as open a circuit, and of all kinds more than the workers
   * have slots. They are all under way before the first has ended. Those of many users are accepted five at a time: the test is about
   * accepted turns, and a slow machine refuses hundreds of requests at once.
   */
  const send = async (name: string): Promise<{ user: Client; id: string }[]> => {
    const one = stack.as(`one ${name}`);
    const sent: { user: Client; id: string }[] = [];
    for (let n = 0; n < 7; n++) sent.push({ user: one, id: await oneOfSeveral(one, `${name}: one, ${n}.`) });
    for (let from = 0; from < 15; from += 5) {
      const several = Array.from({ length: 5 }, async (_, n) => {
        const user = stack.as(`several ${name} ${from + n}`);
        return { user, id: (await turnOf(user, `${name}: several, ${from + n}.`)).id };
      });
      sent.push(...(await Promise.all(several)));
    }
    return sent;
  };

  const unfinished = async (turns: readonly { id: string }[]): Promise<number> => {
    const { rows } = await stack.database.query(
      `SELECT count(*)::int AS n FROM jobs WHERE id = ANY($1) AND finished_at IS NULL`,
      [turns.map(({ id }) => id)],
    );
    return rows[0]?.n as number;
  };

  /** Another user's turns, one after the other. @returns how long the slowest took, and the bound at the machine's pace, in milliseconds */
  const serve = async (who: string, turns: number): Promise<{ slowest: number; bound: number }> => {
    const other = stack.as(who);
    const chat = await insist(() => other.chat());
    const pace = await Pace.watch();
    let slowest = 0;
    for (let n = 0; n < turns; n++) {
      const begun = performance.now();
      // Who is told to come again has waited for ten seconds by then, and that counts.
      let status = 503;
      while (status === 503) ({ status } = await other.turn(chat.id, `beside it, ${who}, ${n}`));
      slowest = Math.max(slowest, performance.now() - begun);
      expect(status).toBe(200);
    }
    return { slowest, bound: pace.bound(SERVED_MS) };
  };

  it('of every kind, from one user and from many, make no other user wait, and end within their attempts', async () => {
    for (const { name, script } of kinds) await stack.model.script(`${name}: `, script);
    const pace = await Pace.watch();
    const sending = Promise.all(kinds.map(async (odd) => ({ odd, turns: await send(odd.name) })));
    const served = [serve('first', 20), sending.then(() => serve('second', 20))];
    const sent = await sending;
    if (pace.bound(0) < STILL_MS) expect(refused).toBe(0);
    for (const { slowest, bound } of await Promise.all(served)) expect(slowest).toBeLessThan(bound);
    for (const { odd, turns } of sent) {
      const [first] = turns;
      const job = await first?.user.finalJob(first.id);
      expect([odd.name, job?.status, job?.error?.code]).toEqual([odd.name, odd.status, odd.code]);
      await until(async () => (await unfinished(turns)) === 0, `the end of every turn: ${odd.name}`);
      const { rows } = await stack.database.query(
        `SELECT status, error_code, attempts, (SELECT count(*)::int FROM model_calls c WHERE c.job_id = j.id) AS calls
           FROM jobs j WHERE id = ANY($1) GROUP BY j.id`,
        [turns.map(({ id }) => id)],
      );
      const { status, code: error_code = null, attempts, entries = attempts } = odd;
      const end = { status, error_code, attempts, calls: entries };
      expect([odd.name, rows]).toEqual([odd.name, turns.map(() => end)]);
    }
    const calls = await stack.model.allCalls();
    for (const { odd, turns } of sent) {
      const paid = calls.filter(({ asked, output_tokens, outcome }) => {
        const isPaid =
          outcome !== 'rejected' && outcome !== 'too_long' && !(outcome === 'scripted_error' && output_tokens === 0);
        return asked.startsWith(`${odd.name}: `) && isPaid;
      });
      expect([odd.name, paid.length <= odd.paid * turns.length]).toEqual([odd.name, true]);
    }
    for (const worker of stack.workers) expect(worker.output()).not.toContain('no attempt begins');
  });

  // Several workers behave like one, each by itself.
  it.each(workers === 1 ? DOUBTFUL : DOUBTFUL.slice(2, 4))(
    'that look like an outage (%s), from one user, delay others once, for a moment, and end within their attempts',
    async (name, script, code) => {
      await stack.model.script(`${name}: `, script);
      const one = stack.as(`doubtful ${name}`);
      const ids: string[] = [];
      for (let n = 0; n < 7; n++) ids.push(await oneOfSeveral(one, `${name}: ${n}.`));
      // Other turns succeed meanwhile, which shows that only these are at fault.
      let over = false;
      const served = (async () => {
        for (let n = 0; !over; n++) {
          const { slowest, bound } = await serve(`beside ${name} ${n}`, 1);
          expect(slowest).toBeLessThan(bound);
          await pause(500);
        }
      })();
      const ended = Promise.all(ids.map((id) => one.finalJob(id))).finally(() => (over = true));
      await Promise.all([ended, served]);
      for (const job of await ended) expect(job).toMatchObject({ status: 'failed', error: { code } });
    },
  );
}
