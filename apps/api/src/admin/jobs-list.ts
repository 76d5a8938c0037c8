import type { AdminJobsQuery } from '#contract/admin.dto.js';
import { jobColumns, type JobRow } from '#database/columns.js';
import type { PageStart } from '../http/page-start.js';

/** Most jobs that the query for one page reads. If the wanted jobs are rare, they are spread over several pages. */
export const MOST_READ = 10_000;

/** A job, with its chat's assistant. */
export type AdminJobRow = JobRow & { readonly assistantSlug: string };

/**
 * A subquery, since PostgreSQL might read all chats for a join. It is null for a chat that is released and not cleared yet, so the list
 * leaves out such a chat's jobs.
 */
const ASSISTANT = 'SELECT c.assistant_slug FROM chats c WHERE c.id = j.chat_id AND c.user_id IS NOT NULL';

/** The two statements of a query. */
export interface JobsList {
  /** Reads the jobs of the page, and one more if there is one. */
  readonly select: string;
  /** Reads the last job that the query read, if others may follow it. */
  readonly last: string;
  readonly values: unknown[];
  readonly lastValues: unknown[];
}

/**
 * Builds the statements. The inner query has the conditions that an index serves: age, user, and the rare states. It reads at most {@link
 * MOST_READ} rows, in the list's order. The outer query has the conditions that must be checked row by row. So the cost of a page is
 * limited, for all filters and any number of jobs.
 */
export function jobsList(query: AdminJobsQuery, later: boolean, from: PageStart | undefined, limit: number): JobsList {
  const values: unknown[] = [];
  const value = (one: unknown): string => `$${values.push(one)}`;
  const [compare, direction] = later ? ['>', 'ASC'] : ['<', 'DESC'];
  const order = `j.created_at ${direction}, j.id ${direction}`;

  const inside = ['true'];
  // Only failed jobs have a code.
  const status = query.status ?? (query.error === undefined ? undefined : 'failed');
  // The state is part of the statement's text, since PostgreSQL uses the partial index only for a constant.
  if (status === 'queued' || status === 'running' || status === 'requires_action' || status === 'failed') {
    inside.push(`j.status = '${status}'`);
  } else if (query.error !== undefined && status !== undefined) inside.push('false');
  if (query.user !== undefined) inside.push(`j.user_id = ${value(query.user)}`);
  // No index lists jobs by chat, but one lists them by user.
  if (query.chat !== undefined) {
    inside.push(`j.user_id = (SELECT c.user_id FROM chats c WHERE c.id = ${value(query.chat)})`);
  }
  if (query.created_after !== undefined) inside.push(`j.created_at >= ${value(query.created_after)}::timestamptz`);
  if (query.created_before !== undefined) inside.push(`j.created_at < ${value(query.created_before)}::timestamptz`);
  if (query.older_than !== undefined) {
    inside.push(`j.created_at < now() - make_interval(secs => ${value(query.older_than)})`);
  }
  if (from !== undefined) {
    inside.push(`(j.created_at, j.id) ${compare} (${value(from.at)}::timestamptz, ${value(from.id)}::uuid)`);
  }
  const read = `FROM jobs j WHERE ${inside.join(' AND ')} ORDER BY ${order}`;
  const lastValues = [...values];

  const outside = ['j.slug IS NOT NULL'];
  if (status === 'succeeded' || status === 'canceled') outside.push(`j.status = '${status}'`);
  if (query.error !== undefined) outside.push(`j.error_code = ${value(query.error)}`);
  if (query.chat !== undefined) outside.push(`j.chat_id = ${value(query.chat)}`);
  if (query.assistant !== undefined) outside.push(`j.slug = ${value(query.assistant)}`);
  const select = `
    SELECT ${jobColumns('j')}, j.slug AS "assistantSlug"
      FROM (SELECT j.*, (${ASSISTANT}) AS slug ${read} LIMIT ${MOST_READ}) AS j
     WHERE ${outside.join(' AND ')} ORDER BY ${order} LIMIT ${limit + 1}`;
  const last = `SELECT j.created_at AS "createdAt", j.id ${read} OFFSET ${MOST_READ - 1} LIMIT 1`;
  return { select, last, values, lastValues };
}

/** The name of a list in its cursors: its filters, except those by age, which may move on from page to page. */
export function listName({ status, assistant, user, chat, error }: AdminJobsQuery): string {
  return `admin jobs ${JSON.stringify([status, assistant, user, chat?.toLowerCase(), error])}`;
}
