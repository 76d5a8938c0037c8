import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { UsageQuery } from '#contract/admin.dto.js';
import type { CallOutcome } from '#database/entities/model-call.entity.js';
import { invalidField } from '#errors/service-error.js';
import { encodeCursor, readCursor } from '../http/cursor.js';

/** Most days in one query. */
const MOST_DAYS = 92;
const DEFAULT_DAYS = 7;
const DAY_MS = 24 * 60 * 60 * 1_000;
const DEFAULT_PAGE = 100;

const OUTCOMES = ['running', 'completed', 'failed', 'canceled', 'handed_back', 'lost'] as const satisfies CallOutcome[];

/**
 * The groupings of usage, in order. `by` is the SQL expression that groups calls; `text` is its text form for sorting and cursors. Texts
 * compare byte by byte, so that the order does not depend on the database's language.
 */
const GROUPS = {
  day: { by: `(started_at AT TIME ZONE 'UTC')::date`, text: `to_char(day, 'YYYY-MM-DD') COLLATE "C"` },
  assistant: { by: 'assistant_slug', text: `coalesce(assistant, '') COLLATE "C"` },
  user: { by: 'user_id', text: `coalesce("user", '') COLLATE "C"` },
  model: { by: 'model', text: `model COLLATE "C"` },
  purpose: { by: 'purpose', text: `purpose COLLATE "C"` },
} as const;
type Group = keyof typeof GROUPS;

/** A group of usage: its values of the requested groupings, empty where unknown. */
export type UsageLine = Readonly<Partial<Record<Group, string>>> & {
  readonly calls: Readonly<Record<CallOutcome, number>>;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly thinkingTokens: number;
  /** Null: none of the calls has a price. */
  readonly cost: number | null;
};

/** The sums of a group, by the names of {@link UsageLine}. */
const SUMS = {
  inputTokens: 'coalesce(sum(input_tokens), 0)',
  outputTokens: 'coalesce(sum(output_tokens), 0)',
  cacheReadTokens: 'coalesce(sum(cache_read_tokens), 0)',
  cacheWriteTokens: 'coalesce(sum(coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0)), 0)',
  thinkingTokens: 'coalesce(sum(thinking_tokens), 0)',
  cost: 'sum(cost)',
};

export interface UsagePage {
  readonly from: string;
  readonly to: string;
  /** The currency of all costs; null: there are no costs. */
  readonly currency: string | null;
  readonly lines: UsageLine[];
  readonly hasMore: boolean;
  readonly after: string | null;
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** Usage, from the ledger. */
@Injectable()
export class UsageService {
  constructor(private readonly manager: EntityManager) {}

  /** A page of groups. @throws ServiceError `validation_failed` */
  async page(query: UsageQuery): Promise<UsagePage> {
    const to = query.to ?? dayOf(Date.now());
    const from = query.from ?? dayOf(Date.parse(to) - (DEFAULT_DAYS - 1) * DAY_MS);
    const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
    if (days < 1) throw invalidField('from', 'must not be after to');
    if (days > MOST_DAYS) throw invalidField('from', `must be at most ${MOST_DAYS} days before the day after to`);
    const groups = readGroups(query.group_by ?? 'day,assistant,user');
    const { limit = DEFAULT_PAGE } = query;
    const name = `usage ${JSON.stringify([from, to, query.assistant, query.user, groups])}`;
    const beyond = readCursor(name, query, (position) => readPageStart(position, groups.length));

    const values: unknown[] = [from, to];
    const value = (one: unknown): string => `$${values.push(one)}`;
    const where = [
      `started_at >= $1::date::timestamp AT TIME ZONE 'UTC'`,
      `started_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'`,
    ];
    if (query.assistant !== undefined) where.push(`assistant_slug = ${value(query.assistant)}`);
    if (query.user !== undefined) where.push(`user_id = ${value(query.user)}`);
    const texts = groups.map((group) => GROUPS[group].text);
    const start = beyond && `(${texts.join(', ')}) > (${beyond.map((part) => `${value(part)}::text`).join(', ')})`;
    // Calls are grouped by their values. Only the groups, which are few, are converted to text and sorted.
    const rows = await this.manager.query<Record<string, string>[]>(
      `SELECT ${groups.map((group) => `${GROUPS[group].text} AS "${group}"`).join(', ')},
              ${OUTCOMES.join(', ')}, ${Object.keys(SUMS)
                .map((name) => `"${name}"`)
                .join(', ')},
              (SELECT currency FROM deployment) AS currency
         FROM (SELECT ${groups.map((group) => `${GROUPS[group].by} AS "${group}"`).join(', ')},
                      ${OUTCOMES.map((outcome) => `count(*) FILTER (WHERE outcome = '${outcome}') AS ${outcome}`).join(', ')},
                      ${Object.entries(SUMS)
                        .map(([name, sum]) => `${sum} AS "${name}"`)
                        .join(', ')}
                 FROM model_calls WHERE ${where.join(' AND ')}
                GROUP BY ${groups.map((_, n) => n + 1).join(', ')}) AS line
        WHERE ${start ?? 'true'} ORDER BY ${texts.join(', ')} LIMIT ${limit + 1}`,
      values,
    );
    const lines = rows.slice(0, limit).map((row) => lineOf(row, groups));
    const last = lines.at(-1);
    const hasMore = rows.length > limit;
    const end = JSON.stringify(groups.map((group) => last?.[group]));
    const currency = rows[0]?.['currency'] ?? null;
    return { from, to, currency, lines, hasMore, after: hasMore ? encodeCursor(name, end) : null };
  }
}

/** Reads the groupings of a query, in the order of {@link GROUPS}. @throws ServiceError `validation_failed` when one is named twice */
function readGroups(text: string): Group[] {
  const asked = text.split(',');
  if (new Set(asked).size !== asked.length) throw invalidField('group_by', 'names a field twice');
  return (Object.keys(GROUPS) as Group[]).filter((group) => asked.includes(group));
}

/** pg returns sums and counts as text, since they may exceed a JavaScript number. These sums do not. */
function lineOf(row: Record<string, string>, groups: readonly Group[]): UsageLine {
  const calls = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, Number(row[outcome])]));
  return {
    ...Object.fromEntries(groups.map((group) => [group, row[group]])),
    calls: calls as UsageLine['calls'],
    inputTokens: Number(row['inputTokens']),
    outputTokens: Number(row['outputTokens']),
    cacheReadTokens: Number(row['cacheReadTokens']),
    cacheWriteTokens: Number(row['cacheWriteTokens']),
    thinkingTokens: Number(row['thinkingTokens']),
    cost: row['cost'] === null ? null : Number(row['cost']),
  };
}

/** @returns undefined for a text that names no group of `parts` parts */
function readPageStart(position: string, parts: number): string[] | undefined {
  try {
    const start: unknown = JSON.parse(position);
    const isText = (part: unknown): boolean => typeof part === 'string' && !part.includes('\0') && part.isWellFormed();
    return Array.isArray(start) && start.length === parts && start.every(isText) ? (start as string[]) : undefined;
  } catch {
    return undefined;
  }
}
