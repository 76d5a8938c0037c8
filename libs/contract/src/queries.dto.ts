import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Matches, Max, MaxLength, Min } from 'class-validator';
import type { operations } from './openapi.gen.js';
import { SLUG } from './slug.js';

export const LARGEST_PAGE = 100;
const LONGEST_CURSOR = 200;

type QueryOf<Id extends keyof operations> = NonNullable<operations[Id]['parameters']['query']>;
type MessagesPageQuery = QueryOf<'listMessages'>;
type ChatsPageQuery = QueryOf<'listChats'>;

/** Digits only: `Number` would also take '1e1', '0x10' and ''. */
export const WholeNumber = (): PropertyDecorator =>
  Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value,
  );

/** The page of a list. */
export class PageQuery implements MessagesPageQuery {
  @IsOptional()
  @WholeNumber()
  @IsInt()
  @Min(1)
  @Max(LARGEST_PAGE)
  limit?: number;

  @IsOptional()
  @IsString()
  @MaxLength(LONGEST_CURSOR)
  before?: string;

  @IsOptional()
  @IsString()
  @MaxLength(LONGEST_CURSOR)
  after?: string;
}

export class ChatsQuery extends PageQuery implements ChatsPageQuery {
  @IsOptional()
  @Matches(SLUG)
  assistant?: string;

  @IsOptional()
  @IsIn(['active', 'archived', 'closed'])
  status?: 'active' | 'archived' | 'closed';
}

/** An event's id is `<attempt>.<offset>` or `end`. */
const LONGEST_EVENT_ID = 20;

export class EventsQuery implements QueryOf<'followJob'> {
  @IsOptional()
  @IsString()
  @MaxLength(LONGEST_EVENT_ID)
  last_event_id?: string;
}
