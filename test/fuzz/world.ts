import type pg from 'pg';
import { newId } from '#database/ids.js';
import { tokenFor } from '../support/stack.js';
import { NOBODYS_ID, type Ref } from './values.js';

/** All data of other users contains this, and nothing else does. An answer with it has leaked. */
export const THEIRS = 'said by somebody else';

/** Users made at the same time. */
const AT_ONCE = 25;

/** Assistants of the world only. Nobody has an active chat with the last one. */
const WAITING = 'fuzz-waiting';
const WITH_TOOLS = 'fuzz-with-tools';
const FRESH = 'fuzz-fresh';

/** A user with a chat in each state that matters, and a job in each. */
export interface Citizen {
  readonly user: string;
  readonly ids: Readonly<Record<string, readonly string[]>>;
  /** The chat of each job. */
  readonly chatOf: ReadonlyMap<string, string>;
}

/** A hash of the rows of each chat, and one of the rest of each user's data. */
export interface Fingerprint {
  readonly chats: Readonly<Record<string, string>>;
  readonly users: Readonly<Record<string, string>>;
  readonly shared: string;
}

/** Two users with conversations: the caller, and another user whose data must stay as it is. */
export class World {
  private readonly waiting: Citizen[] = [];
  private readonly spent: Citizen[] = [];
  private made = 0;

  private constructor(
    private readonly database: pg.Pool,
    /** Tells the users of this world from those of another. */
    private readonly name: string,
    private somebody: Citizen,
  ) {}

  /** The user whose data must stay as it is. */
  get other(): Citizen {
    return this.somebody;
  }

  /** Takes a new other user. */
  async renewOther(): Promise<void> {
    const other = citizen(`${this.name} other ${this.made++}`, THEIRS);
    await insert(this.database, [other]);
    this.somebody = other.citizen;
  }

  static async make(database: pg.Pool, name: string): Promise<World> {
    await database.query(
      `INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens)
       SELECT slug, 'F', 'F', 'P', 'W', 'claude-sonnet-5-5', 100 FROM unnest($1::text[]) slug ON CONFLICT DO NOTHING`,
      [[WAITING, WITH_TOOLS, FRESH]],
    );
    const other = citizen(`${name} other`, THEIRS);
    await insert(database, [other]);
    return new World(database, name, other.citizen);
  }

  /** A user whose data is still as it was made. */
  async next(): Promise<Citizen> {
    if (this.waiting.length === 0) {
      // Unfinished jobs of users that are done with must not block those that wait.
      const busy = this.spent.splice(0).flatMap(({ ids }) => ids['job'] ?? []);
      await this.database.query(
        `UPDATE jobs SET status = 'canceled', finished_at = now() WHERE id = ANY($1) AND status = 'queued' AND attempts = 0`,
        [busy],
      );
      const made = Array.from({ length: AT_ONCE }, () => citizen(`${this.name} ñ😀 ${this.made++}`, 'said by me'));
      await insert(this.database, made);
      this.waiting.push(...made.map((one) => one.citizen));
    }
    const found = this.waiting.shift() as Citizen;
    this.spent.push(found);
    return found;
  }

  /** The id, the slug or the user that a request means. */
  idOf({ kind, whose, pick, inCapitals }: Ref, me: Citizen): string {
    const { ids, user } = whose === 'mine' ? me : this.other;
    const all = kind === 'user' ? [user] : kind === 'any' ? Object.values(ids).flat() : (ids[kind] ?? []);
    const id = all[pick % all.length] ?? NOBODYS_ID;
    return inCapitals ? id.toUpperCase() : id;
  }

  async fingerprint(me: Citizen): Promise<Fingerprint> {
    const chats = [...(me.ids['chat'] ?? []), ...(this.other.ids['chat'] ?? [])];
    const { rows } = await this.database.query<{ found: Fingerprint }>({
      name: 'fingerprint',
      text: FINGERPRINT,
      values: [[me.user, this.other.user], chats],
    });
    return (rows[0] as { found: Fingerprint }).found;
  }
}

const FINGERPRINT = `
  SELECT jsonb_build_object(
    'chats', (SELECT jsonb_object_agg(c.id, md5(concat(c::text,
                (SELECT string_agg(m::text, ' ' ORDER BY m.id) FROM messages m WHERE m.chat_id = c.id),
                (SELECT string_agg(j::text, ' ' ORDER BY j.id) FROM jobs j WHERE j.chat_id = c.id),
                (SELECT string_agg(t::text, ' ' ORDER BY t.id) FROM tool_calls t JOIN jobs j ON j.id = t.job_id WHERE j.chat_id = c.id))))
                FROM (SELECT * FROM chats WHERE id = ANY($2) UNION SELECT * FROM chats WHERE user_id = ANY($1)) c),
    'users', (SELECT jsonb_object_agg(u, md5(concat(
                (SELECT string_agg(k::text, ' ' ORDER BY k.key) FROM idempotency_keys k WHERE k.user_id = u),
                (SELECT string_agg(l::text, ' ') FROM callers l WHERE l.user_id = u),
                (SELECT string_agg(r::text, ' ') FROM receipts r WHERE r.user_id = u))))
                FROM unnest($1::text[]) u),
    'shared', (SELECT md5(concat(d::text, (SELECT string_agg(a::text, ' ' ORDER BY a.slug) FROM assistants a))) FROM dispatch d)
  ) AS found`;

/** A user's token. `admin`: with the scope of operators. */
export function tokenOf(user: string, admin: boolean): string {
  return tokenFor(user, admin ? { scope: 'admin' } : {});
}

interface Rows {
  readonly citizen: Citizen;
  readonly chats: object[];
  readonly messages: object[];
  readonly jobs: object[];
  readonly calls: object[];
  readonly receipts: object[];
}

/** [assistant, state, roles of its messages, end of the last turn] */
const CHATS: readonly (readonly [string, string, readonly string[], string | undefined])[] = [
  ['support', 'active', ['system', 'user', 'assistant'], 'succeeded'],
  ['billing', 'active', ['system', 'user'], 'failed'],
  ['general', 'active', ['system', 'user'], 'queued'],
  [WAITING, 'active', ['system', 'user'], undefined],
  [WITH_TOOLS, 'active', ['system', 'user'], 'requires_action'],
  ['support', 'archived', ['system', 'user', 'assistant'], 'canceled'],
  ['billing', 'closed', ['system'], undefined],
  ['support', 'closed', ['system', 'user', 'assistant'], 'refused'],
  ['general', 'archived', ['system', 'user'], 'queued'],
];

/** Why a reply is incomplete, by the end of its turn. */
const STOP_REASONS: Readonly<Record<string, string>> = { canceled: 'canceled', refused: 'refusal' };

function citizen(user: string, text: string): Rows {
  const rows = { chats: [] as object[], messages: [] as object[], jobs: [] as object[], calls: [] as object[] };
  const ids = { chat: [] as string[], message: [] as string[], job: [] as string[], call: [] as string[] };
  const chatOf = new Map<string, string>();
  const now = Date.now();
  CHATS.forEach(([slug, status, roles, became], n) => {
    const chat = newId();
    const job = newId();
    const messages = roles.map(() => newId());
    const at = new Date(now - 60_000 + n * 1_000).toISOString();
    ids.chat.push(chat);
    ids.message.push(...messages);
    rows.chats.push({
      id: chat,
      user_id: user,
      assistant_slug: slug,
      status,
      title: text,
      last_seq: roles.length,
      last_message_at: at,
    });
    roles.forEach((role, m) => {
      const written = role === 'assistant' && {
        job_id: job,
        model: 'm',
        stop_reason: STOP_REASONS[became ?? ''] ?? 'end_turn',
        stop_details: became === 'refused' ? { category: 'bio', explanation: text } : null,
        input_tokens: 1,
        output_tokens: 1,
      };
      const incomplete = role === 'assistant' && STOP_REASONS[became ?? ''] !== undefined;
      const leftOut = role !== 'system' && (became === 'failed' || became === 'refused');
      rows.messages.push({
        id: messages[m],
        chat_id: chat,
        seq: m + 1,
        role,
        content: text,
        status: incomplete ? 'incomplete' : 'complete',
        left_out_by: leftOut ? job : null,
        ...written,
      });
    });
    if (became === undefined) return;
    ids.job.push(job);
    chatOf.set(job, chat);
    rows.jobs.push({
      id: job,
      chat_id: chat,
      user_id: user,
      user_message_id: messages[1],
      status: became === 'refused' ? 'succeeded' : became,
      attempts: became === 'queued' ? 0 : 1,
      attempts_left: became === 'queued' ? 5 : 4,
      // No worker begins it during the run.
      available_at: new Date(now + (became === 'queued' ? 3_000_000 : 0)).toISOString(),
      error_code: became === 'failed' ? 'model_rejected' : null,
      error_message: became === 'failed' ? 'No.' : null,
      started_at: became === 'queued' ? null : at,
      finished_at: became === 'queued' || became === 'requires_action' ? null : at,
      step: became === 'requires_action' ? 1 : 0,
      action_since: became === 'requires_action' ? at : null,
      action_expires_at: became === 'requires_action' ? new Date(now + 3_000_000).toISOString() : null,
    });
    if (became !== 'requires_action') return;
    const call = newId();
    ids.call.push(call);
    rows.calls.push({ id: call, job_id: job, name: text, input: { text }, status: 'awaiting_approval' });
  });
  const receipt = newId();
  return {
    citizen: {
      user,
      chatOf,
      // In the order of the chats, so that two with the same number belong together.
      ids: { ...ids, receipt: [receipt], assistant: [...CHATS.map(([slug]) => slug), FRESH] },
    },
    ...rows,
    receipts: [{ id: receipt }],
  };
}

async function insert(database: pg.Pool, all: readonly Rows[]): Promise<void> {
  const of = (table: Exclude<keyof Rows, 'citizen'>): string => JSON.stringify(all.flatMap((rows) => rows[table]));
  await database.query(
    `WITH chat AS (
       INSERT INTO chats (id, user_id, assistant_slug, status, title, last_seq, last_message_at)
       SELECT * FROM jsonb_to_recordset($1) AS c (id uuid, user_id text, assistant_slug text, status text, title text,
                                                  last_seq integer, last_message_at timestamptz)
     ), message AS (
       INSERT INTO messages (id, chat_id, seq, role, content, status, left_out_by, job_id, model, stop_reason, stop_details, input_tokens,
                             output_tokens)
       SELECT * FROM jsonb_to_recordset($2) AS m (id uuid, chat_id uuid, seq integer, role text, content text, status text,
                                                  left_out_by uuid, job_id uuid, model text, stop_reason text, stop_details jsonb, input_tokens integer, output_tokens integer)
     ), job AS (
       INSERT INTO jobs (type, request_id, id, chat_id, user_id, user_message_id, status, attempts, attempts_left, available_at,
                         error_code, error_message, started_at, finished_at, step, action_since, action_expires_at)
       SELECT 'assistant-reply', 'fuzz', * FROM jsonb_to_recordset($3)
                AS j (id uuid, chat_id uuid, user_id text, user_message_id uuid, status text, attempts integer, attempts_left smallint,
                      available_at timestamptz, error_code text, error_message text, started_at timestamptz, finished_at timestamptz,
                      step smallint, action_since timestamptz, action_expires_at timestamptz)
     ), call AS (
       INSERT INTO tool_calls (step, n, provider_id, id, job_id, name, input, status)
       SELECT 1, 1, 'toolu_1', * FROM jsonb_to_recordset($5) AS t (id uuid, job_id uuid, name text, input json, status text)
     )
     INSERT INTO receipts (id, begun_at, ended_at)
     SELECT id, now(), now() FROM jsonb_to_recordset($4) AS r (id uuid)`,
    [of('chats'), of('messages'), of('jobs'), of('receipts'), of('calls')],
  );
}
