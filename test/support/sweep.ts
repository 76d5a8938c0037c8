import type pg from 'pg';
import { ASKED_LENGTH } from '../../apps/model-stub/src/calls.js';
import type { Billed, SeenCall } from './model-stub.js';
import { SUM_UP } from './prompts.js';

/** The part of a stack that a sweep checks. */
export interface Swept {
  readonly database: Pick<pg.Pool, 'query'>;
  readonly model: { allCalls(): Promise<SeenCall[]> };
}

/** How long jobs may take to end, and dead workers' entries to be ended, in milliseconds. */
const SETTLE_MS = 30_000;

/** Most findings of one kind that the list has. */
const MOST_LINES = 20;

/** Outcomes of calls that the model refused because of their content. They cost nothing and need not be in the ledger. */
const REFUSED = ['rejected', 'too_long'];

/** A statement that returns a row for each fault, with the finding as `what`. */
interface Rule {
  readonly name: string;
  readonly sql: string;
}

const FINAL = `('succeeded', 'failed', 'canceled')`;

/** Stop reasons of incomplete messages. */
const CUT = `('canceled', 'failed', 'max_tokens', 'model_context_window_exceeded', 'refusal')`;

/** The rules that hold at every instant, whatever dies: no history is one that a model would refuse. */
export const BALANCE: readonly Rule[] = [
  {
    name: 'each tool call of a finished step is stored, in its order',
    sql: `SELECT format('step %s of job %s asks for %s and has the calls %s', s.step, s.job_id, asked.ids, stored.ids) AS what
            FROM steps s CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(b.block ->> 'id' ORDER BY b.n), '{}') AS ids
                FROM json_array_elements(s.content) WITH ORDINALITY AS b (block, n) WHERE b.block ->> 'type' = 'tool_use') asked
           CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(t.provider_id ORDER BY t.n), '{}') AS ids FROM tool_calls t
               WHERE t.job_id = s.job_id AND t.step = s.step) stored
           WHERE asked.ids <> stored.ids`,
  },
  {
    name: 'a step with open tool calls is the last one',
    sql: `SELECT format('call %s of step %s of job %s is %s, and the job is at step %s', t.id, t.step, j.id, t.status, j.step) AS what
            FROM tool_calls t JOIN jobs j ON j.id = t.job_id WHERE t.ended_at IS NULL AND t.step <> j.step`,
  },
  {
    name: 'a turn that has ended has no open tool call',
    sql: `SELECT format('job %s is %s, and call %s is %s', j.id, j.status, t.id, t.status) AS what
            FROM tool_calls t JOIN jobs j ON j.id = t.job_id WHERE j.finished_at IS NOT NULL AND t.ended_at IS NULL`,
  },
  {
    name: 'a turn waits for a person only if one of its calls does, and no call can go on',
    sql: `SELECT format('job %s waits, and its calls are %s', j.id, c.states) AS what
            FROM jobs j CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(t.status), '{}') AS states FROM tool_calls t WHERE t.job_id = j.id AND t.ended_at IS NULL) c
           WHERE j.status = 'requires_action' AND (c.states = '{}' OR c.states && '{queued,running}')`,
  },
  {
    name: 'the message of a turn has all of its tool calls, each with its result',
    sql: `SELECT format('job %s has the calls %s, and its message has %s', m.job_id, c.ids, p.ids) AS what
            FROM messages m CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(t.id::text || t.result ORDER BY t.step, t.n), '{}') AS ids FROM tool_calls t WHERE t.job_id = m.job_id) c
           CROSS JOIN LATERAL (
              SELECT coalesce(array_agg((part -> 'tool_call' ->> 'id') || (part -> 'tool_call' ->> 'result') ORDER BY n), '{}') AS ids
                FROM jsonb_array_elements(m.parts) WITH ORDINALITY AS each (part, n) WHERE part ->> 'type' = 'tool_call') p
           WHERE m.job_id IS NOT NULL AND c.ids <> p.ids`,
  },
];

/** Faults that the database alone shows. */
export const RULES: readonly Rule[] = [
  ...BALANCE,
  {
    name: 'every job is final',
    sql: `SELECT format('job %s is %s after %s attempts', id, status, attempts) AS what
            FROM jobs WHERE status NOT IN ${FINAL}`,
  },
  {
    name: 'a job has the messages of its state',
    sql: `SELECT format('job %s is %s and has %s complete and %s incomplete messages', id, status, complete, incomplete) AS what
            FROM (SELECT j.id, j.status, EXISTS (SELECT FROM tool_calls t WHERE t.job_id = j.id) AS called, count(m.id) FILTER (WHERE m.status = 'complete') AS complete,
                         count(m.id) FILTER (WHERE m.status = 'incomplete') AS incomplete,
                         count(m.id) FILTER (WHERE (m.status = 'incomplete') <> (m.stop_reason IN ${CUT})) AS wrong
                    FROM jobs j LEFT JOIN messages m ON m.job_id = j.id GROUP BY j.id) AS counted
           WHERE wrong > 0 OR NOT CASE status WHEN 'succeeded' THEN complete + incomplete = 1
                                 WHEN 'canceled' THEN complete = 0 AND incomplete <= 1 AND (called AND incomplete = 0) = false
                                 ELSE complete = 0 AND incomplete = called::int END`,
  },
  {
    name: 'a turn has one assistant message at most',
    sql: `SELECT format('user message %s has %s assistant messages', j.user_message_id, count(*)) AS what
            FROM jobs j JOIN messages m ON m.job_id = j.id GROUP BY j.user_message_id HAVING count(*) > 1`,
  },
  {
    name: 'messages are numbered without gaps',
    sql: `SELECT format('chat %s has %s messages, numbered %s to %s, and says %s', c.id, count(m.id), min(m.seq), max(m.seq),
                        c.last_seq) AS what
            FROM chats c LEFT JOIN messages m ON m.chat_id = c.id GROUP BY c.id
          HAVING count(m.id) <> c.last_seq OR min(m.seq) <> 1 OR max(m.seq) <> c.last_seq`,
  },
  {
    name: 'no user message is there twice',
    sql: `SELECT format('%s times in chat %s: %s', count(*), chat_id, left(content, 80)) AS what
            FROM messages WHERE role = 'user' GROUP BY chat_id, content HAVING count(*) > 1`,
  },
  {
    name: 'a job says when it ended, and why if it failed',
    sql: `SELECT format('job %s is %s, started %s, finished %s, error %s: %s', id, status, started_at, finished_at, error_code,
                        error_message) AS what
            FROM jobs
           WHERE (status IN ${FINAL}) <> (finished_at IS NOT NULL)
              OR (status = 'failed') <> (error_code IS NOT NULL) OR (status = 'failed') <> (error_message IS NOT NULL)
              OR (attempts > 0) <> (started_at IS NOT NULL) OR finished_at < started_at OR started_at < created_at`,
  },
  {
    name: 'a job that has ended holds nothing',
    sql: `SELECT format('job %s is %s, with %s characters of a draft and a lease until %s', id, status, length(draft),
                        lease_until) AS what
            FROM jobs WHERE status IN ${FINAL} AND (draft <> '' OR lease_until IS NOT NULL)`,
  },
  {
    name: 'no call of the ledger is left open',
    sql: `SELECT format('call %s of job %s (%s) is still running, since %s', c.attempt, c.job_id, j.status, c.started_at) AS what
            FROM model_calls c JOIN jobs j ON j.id = c.job_id WHERE c.outcome = 'running' OR c.ended_at IS NULL`,
  },
  {
    name: 'a turn has one completed call for each of its finished steps, and one more if it succeeded',
    sql: `SELECT format('job %s is %s at step %s and has completed calls of the steps %s', j.id, j.status, j.step, s.made) AS what
            FROM jobs j CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(c.step::int ORDER BY c.step), '{}') AS made FROM model_calls c
               WHERE c.job_id = j.id AND c.step > 0 AND c.outcome = 'completed'
                 AND c.started_at >= coalesce(j.requeued_at, j.created_at)) s
           WHERE s.made <> ARRAY(SELECT generate_series(1, j.step + CASE j.status WHEN 'succeeded' THEN 1 ELSE 0 END))`,
  },
  {
    name: 'an unfinished turn has the steps that it has finished, and an ended one has none',
    sql: `SELECT format('job %s is %s at step %s and has the steps %s', j.id, j.status, j.step, s.kept) AS what
            FROM jobs j CROSS JOIN LATERAL (
              SELECT coalesce(array_agg(s.step::int ORDER BY s.step), '{}') AS kept FROM steps s WHERE s.job_id = j.id) s
           WHERE s.kept <> ARRAY(SELECT generate_series(1, CASE WHEN j.finished_at IS NULL THEN j.step ELSE 0 END))`,
  },
  {
    name: 'a completed call cost what its message says',
    sql: `SELECT format('job %s: the calls %s and %s tokens, the message %s and %s', m.job_id, sum(c.input_tokens),
                        sum(c.output_tokens), m.input_tokens, m.output_tokens) AS what
            FROM messages m JOIN jobs j ON j.id = m.job_id
            JOIN model_calls c ON c.job_id = j.id AND c.step > 0 AND c.outcome = 'completed'
                 AND c.started_at >= coalesce(j.requeued_at, j.created_at)
           WHERE j.status = 'succeeded' GROUP BY m.id
          HAVING (sum(c.input_tokens), sum(c.output_tokens)) IS DISTINCT FROM (m.input_tokens, m.output_tokens)`,
  },
  {
    name: 'a window begins with a message of its chat, behind all summaries',
    sql: `SELECT format('the window of chat %s begins at %s of %s, and a summary ends at %s', c.id, c.window_from_seq, c.last_seq, s.last) AS what
            FROM chats c CROSS JOIN LATERAL (SELECT max(until_seq) AS last FROM summaries s WHERE s.chat_id = c.id) s
           WHERE c.window_from_seq NOT BETWEEN 1 AND c.last_seq OR s.last IS NOT NULL AND (c.window_from_seq > s.last) IS NOT TRUE`,
  },
  {
    name: 'an answer of the model is in the ledger once',
    sql: `SELECT format('%s is in %s calls', message_id, count(*)) AS what
            FROM model_calls GROUP BY message_id HAVING message_id IS NOT NULL AND count(*) > 1`,
  },
  {
    name: 'a call is of an attempt that was begun, and ends after it began',
    sql: `SELECT format('call %s of job %s, which began %s attempts: from %s to %s', c.attempt, c.job_id, j.attempts, c.started_at,
                        c.ended_at) AS what
            FROM model_calls c JOIN jobs j ON j.id = c.job_id
           WHERE c.attempt > j.attempts OR c.ended_at < c.started_at`,
  },
];

/** An entry of the ledger, with the user's message. */
interface LedgerRow {
  readonly job_id: string;
  readonly attempt: number;
  readonly purpose: string;
  readonly outcome: string;
  readonly message_id: string | null;
  readonly estimated: boolean;
  readonly output_tokens: number | null;
  readonly user_message_id: string;
}

interface Question {
  readonly id: string;
  readonly content: string;
}

/**
 * Checks a stack's database against the service's guarantees, and its ledger against the calls that the stand-in saw. Call it when no
 * client sends requests any more; it waits a while for turns in flight. It tells turns apart by the user's message, so each message must be
 * different.
 *
 * @returns every violation, in words
 */
export async function sweep(stack: Swept, settleMs = SETTLE_MS): Promise<string[]> {
  await settle(stack, settleMs);
  const findings: string[] = [];
  for (const { name, sql } of RULES) {
    const { rows } = await stack.database.query<{ what: string }>(sql);
    findings.push(
      ...inLines(
        name,
        rows.map(({ what }) => what),
      ),
    );
  }
  const { rows: ledger } = await stack.database.query<LedgerRow>(
    `SELECT c.job_id, c.attempt, c.purpose, c.outcome, c.message_id, c.estimated, c.output_tokens, j.user_message_id
       FROM model_calls c JOIN jobs j ON j.id = c.job_id`,
  );
  const { rows: questions } = await stack.database.query<Question>(
    `SELECT id, content FROM messages WHERE role = 'user'`,
  );
  const calls = await stack.model.allCalls();
  for (const [name, found] of Object.entries(againstTheModel(ledger, questions, calls))) {
    findings.push(...inLines(name, found));
  }
  return findings;
}

/** Checks what must hold at every instant. @returns every violation, in words */
export async function imbalances({ database }: Pick<Swept, 'database'>): Promise<string[]> {
  const found: string[] = [];
  for (const { name, sql } of BALANCE) {
    const { rows } = await database.query<{ what: string }>(sql);
    found.push(...rows.map(({ what }) => `${name}: ${what}`));
  }
  return found;
}

/** @throws Error with every violation */
export async function expectSound(stack: Swept): Promise<void> {
  const findings = await sweep(stack);
  if (findings.length > 0) throw new Error(`${findings.length} violations:\n${findings.join('\n')}`);
}

/** Checks a stack, and stops it whatever the result is. @throws Error with every violation */
export async function stopSound(stack: Swept & { stop(): Promise<void> }): Promise<void> {
  try {
    await expectSound(stack);
  } finally {
    await stack.stop();
  }
}

function inLines(name: string, found: readonly string[]): string[] {
  const lines = found.slice(0, MOST_LINES).map((what) => `${name}: ${what}`);
  return found.length > MOST_LINES ? [...lines, `${name}: and ${found.length - MOST_LINES} more`] : lines;
}

/** Waits until no turn is in flight, or the time is up. The rules then find the rest. */
async function settle(stack: Swept, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    const underWay = await stack.database
      .query<{ n: number }>(
        `SELECT (SELECT count(*) FROM jobs WHERE status NOT IN ${FINAL})::int +
                (SELECT count(*) FROM model_calls WHERE outcome = 'running')::int AS n`,
      )
      .then(({ rows }) => rows[0]?.n)
      // The pool may still hold a connection that was cut.
      .catch(() => undefined);
    if (underWay === 0 && (await stack.model.allCalls()).every(({ outcome }) => outcome !== 'running')) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function againstTheModel(
  ledger: readonly LedgerRow[],
  questions: readonly Question[],
  calls: readonly SeenCall[],
): Record<string, string[]> {
  const byId = new Map(calls.map((call) => [call.id, call]));
  const inLedger = new Set(ledger.map(({ message_id }) => message_id));
  const findings = {
    'no call goes on when every turn has ended': calls
      .filter(({ outcome }) => outcome === 'running')
      .map(({ id, asked }) => `${id}, about "${asked}"`),
    'a call of the ledger is one the model knows': [] as string[],
    'every call of the model is in the ledger': [] as string[],
  };
  // Entries without an answer's id, by turn: those that are marked as estimates, and the others.
  const marked = new Map<string, number>();
  const unnamed = new Map<string, number>();
  for (const row of ledger) {
    const line = `call ${row.attempt} of job ${row.job_id} (${row.outcome})`;
    if (row.message_id === null) {
      // The prompt of a summary does not say whose turn it is for.
      const turn = row.purpose === 'summary' ? SUM_UP : row.user_message_id;
      const list = row.estimated ? marked : unnamed;
      list.set(turn, (list.get(turn) ?? 0) + 1);
      if (row.outcome === 'completed') {
        findings['a call of the ledger is one the model knows'].push(`${line} has no message's id`);
      }
      continue;
    }
    const call = byId.get(row.message_id);
    const same =
      row.outcome !== 'completed' || (call?.outcome === 'completed' && call.output_tokens === row.output_tokens);
    if (call === undefined || !same) {
      const seen = call === undefined ? 'nothing' : `${call.outcome} with ${call.output_tokens} tokens`;
      findings['a call of the ledger is one the model knows'].push(
        `${line} is ${row.message_id} with ${row.output_tokens} tokens; the model saw ${seen}`,
      );
    }
  }
  const turnOf = turnsByText(questions);
  const strays = calls.filter(({ id, outcome }) => !inLedger.has(id) && !REFUSED.includes(outcome));
  // The call's worker died before it stored the id, so an entry of the same turn belongs to this call. If the call cost something, that entry
  // must be marked; calls that did are first to choose.
  for (const { id, asked, outcome, billed } of strays.sort(
    (a, b) => Number(costs(b.billed)) - Number(costs(a.billed)),
  )) {
    const turn = asked.endsWith(SUM_UP) ? SUM_UP : turnOf(asked);
    const taken = (list: Map<string, number>): boolean => {
      const left = turn === undefined ? 0 : (list.get(turn) ?? 0);
      if (turn !== undefined && left > 0) list.set(turn, left - 1);
      return left > 0;
    };
    // A call that was given up before its headers came is entered without tokens: the service cannot know whether it cost something.
    const isFree = !costs(billed) || (outcome === 'client_closed' && (billed?.output_tokens ?? 0) === 0);
    if ((isFree && taken(unnamed)) || taken(marked)) continue;
    findings['every call of the model is in the ledger'].push(`${id} (${outcome}), about "${asked}"`);
  }
  return findings;
}

/** Whether a call cost something. */
const costs = (billed: Partial<Billed> = {}): boolean => Object.values(billed).some((tokens) => tokens > 0);

/** Finds the user message of a call. Unanswered messages stand before it, with an empty line between. */
function turnsByText(questions: readonly Question[]): (asked: string) => string | undefined {
  const byEnd = new Map(questions.map(({ id, content }) => [content.slice(-ASKED_LENGTH), id]));
  return (asked) => {
    for (let end: string = asked; ;) {
      const found = byEnd.get(end);
      const next = end.indexOf('\n\n');
      if (found !== undefined || next < 0) return found;
      end = end.slice(next + 2);
    }
  };
}
