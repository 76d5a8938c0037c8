import { AdminJobsService } from '../../apps/api/src/admin/admin-jobs.service.js';
import { UsageService } from '../../apps/api/src/admin/usage.service.js';
import { ChatsService } from '../../apps/api/src/chats/chats.service.js';
import { OpenChat } from '../../apps/api/src/chats/open-chat.js';
import { encodeCursor } from '../../apps/api/src/http/cursor.js';
import { ExportService } from '../../apps/api/src/me/export.service.js';
import type { EntityManager } from 'typeorm';
import { newId } from '#database/ids.js';
import { acceptTurn } from '#jobs/accept.js';
import { claim, type ClaimedJob } from '#jobs/claim.js';
import { clear } from '#erasure/clear.js';
import { queueDepth } from '#jobs/depth.js';
import { extend } from '#jobs/extend.js';
import { endOrphans, NO_FIGURES } from '#jobs/ledger.js';
import { reachedLimit } from '#limits/user-limits.js';
import { countUnfinished } from '#limits/unfinished-turns.js';
import { readJob } from '#jobs/read.js';
import { abandonedJobs, anyOverdue, endExpired, endSpent, purgeKeys } from '#jobs/reconcile.js';
import { releaseExpired } from '#erasure/release.js';
import { CLAIMED_AT_ONCE } from '#jobs/timings.js';
import { finish } from '#jobs/transitions.js';
import type { Side } from './side.js';

/** A measured work: its name, and a function that does it. */
export type Work = readonly [name: string, run: () => Promise<unknown>];

/** All limits are on, so that each is counted. */
const LIMITS = { turnsPerMinute: 100_000, unfinishedTurns: 10 };
const BUDGETS = { tokensPerDay: 10_000_000, costPerDay: 1_000_000, ofAssistants: true };

/** An active chat for turns. */
export interface BenchChat {
  readonly id: string;
  readonly userId: string;
}

/** A new chat of a new user. */
export async function newChat({ pool }: Side): Promise<BenchChat> {
  const chat = { id: newId(), userId: newId() };
  await pool.query(`INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, 'bench', 'active')`, [
    chat.id,
    chat.userId,
  ]);
  return chat;
}

/** A longer turn does the work of this name several times. */
export const EXTEND = 'extend the lease';

async function beat(manager: EntityManager, job: ClaimedJob | undefined): Promise<void> {
  const beats = job === undefined ? [] : [{ jobId: job.id, attempt: job.attempt, step: 1, text: 'Now', at: 0 }];
  if ((await extend(manager, beats))[0] !== 'extended') throw new Error('The lease was not extended.');
}

async function end(manager: EntityManager, job: ClaimedJob | undefined): Promise<void> {
  const ended = {
    status: 'complete',
    stopReason: 'end_turn',
    stopDetails: null,
    steps: 0,
    lastText: '',
    windowFromSeq: null,
    otherParts: null,
    contextTokens: null,
    leftOut: false,
  } as const;
  const reply = { content: 'Now this.', model: 'm', ...ended };
  const figures = { ...NO_FIGURES, inputTokens: 9, outputTokens: 9 };
  if (!job || !(await finish(manager, job.id, job.attempt, reply, figures))) throw new Error('The turn did not end.');
}

/** A turn from beginning to end. Each work continues after the one before. */
export function turnWorks({ manager }: Side, { id: chatId, userId }: BenchChat): Work[] {
  let jobId = '';
  let job: ClaimedJob;
  const accept = async (): Promise<void> => {
    jobId = newId();
    const turn = {
      jobId,
      chatId,
      userId,
      assistantSlug: undefined,
      content: 'And now?',
      metadata: {},
      requestId: 'bench',
      requestKey: { key: jobId, fingerprint: Buffer.alloc(32) },
    };
    if ((await acceptTurn(manager, turn, LIMITS, BUDGETS)) === undefined) throw new Error('The turn was not accepted.');
  };
  const begin = async (order: 'fair' | 'oldest'): Promise<void> => {
    const [claimed] = (await claim(manager, { most: 1, order })).jobs;
    if (claimed === undefined || claimed.id !== jobId) throw new Error('Nothing was claimed, or another job.');
    job = claimed;
  };
  return [
    ['accept', accept],
    ['poll, queued', () => readJob(manager, jobId, userId)],
    ['claim', () => begin('fair')],
    [EXTEND, () => beat(manager, job)],
    ['finish', () => end(manager, job)],
    ['poll, succeeded', () => readJob(manager, jobId, userId)],
    ['accept', accept],
    ['claim the oldest', () => begin('oldest')],
    ['finish', () => end(manager, job)],
  ];
}

/** Works that go on all the time, here with nothing to do. */
export function standingWorks({ manager }: Side, user: string): Work[] {
  return [
    ['end the spent', () => endSpent(manager)],
    ['end the expired', () => endExpired(manager)],
    ['end orphaned calls', () => endOrphans(manager)],
    ['abandoned jobs', () => abandonedJobs(manager)],
    ['overdue jobs', () => anyOverdue(manager)],
    ['purge keys', () => purgeKeys(manager)],
    ['release the expired', () => releaseExpired(manager)],
    ['clear the released', () => clear(manager)],
    ['depth of the queue', () => queueDepth(manager)],
    ['count the unfinished', () => countUnfinished(manager, 10_000)],
    ['which limit is reached', () => reachedLimit(manager, user, LIMITS)],
  ];
}

/** Works while turns wait. Each accepted turn is another user's. */
export async function queueWorks(side: Side, rounds: number): Promise<Work[]> {
  const { manager } = side;
  const chats: BenchChat[] = [];
  for (let n = 0; n < rounds; n++) chats.push(await newChat(side));
  const accept = async (): Promise<void> => {
    const { id: chatId, userId } = chats.pop() ?? { id: '', userId: '' };
    const turn = { chatId, userId, assistantSlug: undefined, content: 'And?', metadata: {}, requestId: 'bench' };
    const accepted = await acceptTurn(manager, { ...turn, jobId: newId(), requestKey: undefined }, LIMITS, BUDGETS);
    if (accepted === undefined) throw new Error('The turn was not accepted.');
  };
  let jobs: readonly ClaimedJob[] = [];
  const begin = async (): Promise<void> => {
    jobs = (await claim(manager, { most: CLAIMED_AT_ONCE })).jobs;
    if (jobs.length < CLAIMED_AT_ONCE) throw new Error('Too few were claimed.');
  };
  return [
    ['accept', accept],
    ['claim, as many as one does', begin],
    [EXTEND, () => beat(manager, jobs[0])],
    ['finish', () => end(manager, jobs[0])],
    ['claim the oldest', () => claim(manager, { most: 1, order: 'oldest' })],
    ['overdue jobs', () => anyOverdue(manager)],
    ['abandoned jobs', () => abandonedJobs(manager)],
    ['end the spent', () => endSpent(manager)],
    ['end the expired', () => endExpired(manager)],
    ['which limit is reached', () => reachedLimit(manager, 'waits1', LIMITS)],
  ];
}

/** Operators' views: of `user` with a chat of ten turns, and of `day`, which has the same number of calls on each side. */
export function operatorWorks({ manager }: Side, user: string, chat: string, day: string): Work[] {
  const jobs = new AdminJobsService(manager, ...([] as unknown as [never, never, never, never]));
  const usage = new UsageService(manager);
  return [
    ['jobs, newest', () => jobs.list({})],
    ['jobs, oldest', () => jobs.list({ order: 'oldest' })],
    ['jobs, failed', () => jobs.list({ status: 'failed' })],
    ['jobs, running', () => jobs.list({ status: 'running' })],
    ['jobs of a user', () => jobs.list({ user })],
    ['jobs of a chat', () => jobs.list({ chat })],
    ['usage of a day', () => usage.page({ from: day, to: day })],
    ['usage of a user', () => usage.page({ user })],
  ];
}

/** Requests of a user who has `count` chats (see `chatsOf`). */
export async function chatsWorks(side: Side, user: string, count: number): Promise<Work[]> {
  const chats = new ChatsService(side.manager, undefined as never);
  const kept = { find: () => Promise.resolve(undefined) };
  const opening = new OpenChat(side.manager, undefined as never, kept as never, undefined as never, undefined as never);
  const exports = new ExportService(side.manager, undefined as never) as unknown as {
    chats(userId: string, after: { id: string; createdAt: Date } | undefined): Promise<unknown[]>;
  };
  const { rows } = await side.pool.query<{ id: string; createdAt: Date }>(
    `SELECT id, created_at AS "createdAt" FROM chats WHERE user_id = $1 ORDER BY id DESC OFFSET 10 LIMIT 1`,
    [user],
  );
  const list = `chats ${user}  `;
  const at = new Date(Date.now() - (30 * 24 * 60 - count / 2) * 60_000).toISOString();
  const middle = encodeCursor(list, `${at} ffffffff-ffff-7fff-bfff-ffffffffffff`);
  return [
    ['chats, first page', () => chats.list(user, { limit: 5 })],
    ['chats, from the middle down', () => chats.list(user, { limit: 5, before: middle })],
    ['chats, from the middle up', () => chats.list(user, { limit: 5, after: middle })],
    ['chats, a rare assistant', () => chats.list(user, { limit: 5, assistant: 'billing' })],
    ['chats, archived', () => chats.list(user, { limit: 5, status: 'archived' })],
    ['chats, active', () => chats.list(user, { limit: 5, status: 'active' })],
    ['the active chat (upsert)', () => opening.open(user, 'support', {}, undefined)],
    ['export, the last ten chats', () => exports.chats(user, rows[0])],
  ];
}
