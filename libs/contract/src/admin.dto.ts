import { Transform } from 'class-transformer';
import { IsBoolean, IsIn, IsInt, IsOptional, IsUUID, Matches, Max, MaxLength, Min, ValidateBy } from 'class-validator';
import type {
  components,
  operations,
  SchemaUpdateAdminChatRequest,
  SchemaUpdateAdminJobRequest,
  SchemaUpdateDispatchRequest,
} from './openapi.gen.js';
import { ChatsQuery, PageQuery, WholeNumber } from './queries.dto.js';
import { SLUG } from './slug.js';
import { IsText } from './text.js';

type Schemas = components['schemas'];
type QueryOf<Id extends keyof operations> = NonNullable<operations[Id]['parameters']['query']>;

const LONGEST_USER = 255;

/** The longest cursor that holds a user's id and the name of a model: each character of the id may take six. */
const LONGEST_PLACE = 4_000;

export const JOB_STATUSES = ['queued', 'running', 'requires_action', 'succeeded', 'failed', 'canceled'] as const;
const ERROR_CODES = [
  'model_unavailable',
  'model_unauthorized',
  'model_budget',
  'model_misconfigured',
  'model_rejected',
  'message_too_long',
  'context_exceeded',
  'answer_empty',
  'answer_broken',
  'answer_paused',
  'attempts_exhausted',
  'expired',
  'action_expired',
  'internal',
] as const;

/** RFC 3339, section 5.6, with years of four digits, which both JavaScript and PostgreSQL know. */
const MOMENT = /^[1-9]\d{3}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i;
const DAY = /^[1-9]\d{3}-\d\d-\d\d$/;

/** JavaScript would read a day that does not exist, such as 30 February, as another day. */
const isDay = (text: string): boolean =>
  DAY.test(text) && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text);

/** With its offset, the year may no longer have four digits. */
const isMoment = (text: string): boolean =>
  MOMENT.test(text) && isDay(text.slice(0, 10)) && !Number.isNaN(Date.parse(text)) && Date.parse(text) < YEAR_10000;

const YEAR_10000 = Date.parse('+010000-01-01T00:00:00Z');

/**
 * Converts a moment to UTC: PostgreSQL knows offsets up to 16 hours, RFC 3339 up to 24. A fraction of a millisecond is rounded up, so that
 * jobs, whose times are whole milliseconds, stay on the same side of the moment.
 */
const Moment = (): PropertyDecorator =>
  Transform(({ value }: { value: unknown }) => {
    if (typeof value !== 'string' || !isMoment(value)) return value;
    const rest = /\.\d{3}(\d+)/.exec(value)?.[1] ?? '';
    return new Date(Date.parse(value) + (/[1-9]/.test(rest) ? 1 : 0)).toISOString();
  });

const Holds = (check: (text: string) => boolean, otherwise: string): PropertyDecorator =>
  ValidateBy({
    name: 'holds',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && check(value),
      defaultMessage: () => otherwise,
    },
  });

const IsMoment = (): PropertyDecorator => Holds(isMoment, 'must be a moment, such as 2026-11-23T09:00:00Z');
const IsDay = (): PropertyDecorator => Holds(isDay, 'must be a day, such as 2026-11-23');

/** Filters of an operator's list of jobs. */
export class AdminJobsQuery extends PageQuery implements QueryOf<'listAdminJobs'> {
  @IsOptional()
  @IsIn(JOB_STATUSES)
  status?: Schemas['JobStatus'];

  @IsOptional()
  @Matches(SLUG)
  assistant?: string;

  @IsOptional()
  @IsText(1, LONGEST_USER)
  user?: string;

  @IsOptional()
  @IsUUID()
  chat?: string;

  @IsOptional()
  @IsIn(ERROR_CODES)
  error?: Schemas['JobErrorCode'];

  @IsOptional()
  @WholeNumber()
  @IsInt()
  @Min(0)
  @Max(999_999)
  older_than?: number;

  @IsOptional()
  @Moment()
  @MaxLength(40)
  @IsMoment()
  created_after?: string;

  @IsOptional()
  @Moment()
  @MaxLength(40)
  @IsMoment()
  created_before?: string;

  @IsOptional()
  @IsIn(['newest', 'oldest'])
  order?: 'newest' | 'oldest';
}

const GROUPS = /^(day|assistant|user|model|purpose)(,(day|assistant|user|model|purpose)){0,4}$/;

/** Filters of an operator's list of usage. */
export class UsageQuery implements QueryOf<'getUsage'> {
  @IsOptional()
  @IsDay()
  from?: string;

  @IsOptional()
  @IsDay()
  to?: string;

  @IsOptional()
  @Matches(SLUG)
  assistant?: string;

  @IsOptional()
  @IsText(1, LONGEST_USER)
  user?: string;

  @IsOptional()
  @Matches(GROUPS)
  group_by?: string;

  @IsOptional()
  @WholeNumber()
  @IsInt()
  @Min(1)
  @Max(100)
  limit?: number;

  @IsOptional()
  @MaxLength(LONGEST_PLACE)
  after?: string;
}

/** Filters of an operator's list of budgets. */
export class BudgetsQuery implements QueryOf<'getBudgets'> {
  @IsOptional()
  @WholeNumber()
  @IsInt()
  @Min(1)
  @Max(1_000)
  share?: number;

  @IsOptional()
  @WholeNumber()
  @IsInt()
  @Min(1)
  @Max(100)
  limit?: number;
}

export class UpdateAdminJobRequest implements SchemaUpdateAdminJobRequest {
  @IsIn(['queued', 'canceled'])
  status: 'queued' | 'canceled';
}

/** Filters of an operator's list of one user's chats. */
export class AdminChatsQuery extends ChatsQuery implements QueryOf<'listAdminChats'> {
  @IsText(1, LONGEST_USER)
  user: string;
}

export class UpdateAdminChatRequest implements SchemaUpdateAdminChatRequest {
  @IsIn(['active', 'archived', 'closed'])
  status: 'active' | 'archived' | 'closed';
}

export class UpdateDispatchRequest implements SchemaUpdateDispatchRequest {
  @IsBoolean()
  paused: boolean;
}
