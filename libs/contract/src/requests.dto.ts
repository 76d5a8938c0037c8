import { Equals, IsIn, IsOptional, IsUUID, ValidateIf } from 'class-validator';
import { IsMetadata } from './metadata.js';
import type {
  SchemaCreateMessageRequest,
  SchemaOpenChatRequest,
  SchemaReplyRequest,
  SchemaTurnRequest,
  SchemaUpdateChatRequest,
  SchemaUpdateJobRequest,
} from './openapi.gen.js';
import { IsText } from './text.js';

export const LONGEST_MESSAGE = 32_000;
export const LONGEST_TITLE = 200;

/** Optional, but not null: `IsOptional` would let null pass. */
const MayBeLeftOut = (): PropertyDecorator => ValidateIf((_, value) => value !== undefined);

/** A request whose body, if any, has no fields. */
export class NoFields {}

export class OpenChatRequest implements SchemaOpenChatRequest {
  @IsOptional()
  @IsText(1, LONGEST_TITLE)
  title?: string | null;

  @MayBeLeftOut()
  @IsMetadata()
  metadata?: Record<string, string>;
}

export class UpdateChatRequest implements SchemaUpdateChatRequest {
  @MayBeLeftOut()
  @IsIn(['active', 'archived', 'closed'])
  status?: 'active' | 'archived' | 'closed';

  @IsOptional()
  @IsText(1, LONGEST_TITLE)
  title?: string | null;

  @MayBeLeftOut()
  @IsMetadata()
  metadata?: Record<string, string>;
}

export class CreateMessageRequest implements SchemaCreateMessageRequest {
  @IsText(1, LONGEST_MESSAGE)
  content: string;

  @MayBeLeftOut()
  @IsMetadata()
  metadata?: Record<string, string>;
}

export class TurnRequest implements SchemaTurnRequest {
  @IsText(1, LONGEST_MESSAGE)
  user_message: string;

  @MayBeLeftOut()
  @IsMetadata()
  metadata?: Record<string, string>;
}

export class ReplyRequest implements SchemaReplyRequest {
  @IsUUID()
  chat_id: string;
}

export class UpdateJobRequest implements SchemaUpdateJobRequest {
  @Equals('canceled')
  status: 'canceled';
}
