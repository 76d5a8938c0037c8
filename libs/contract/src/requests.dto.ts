import { Equals, IsIn, IsOptional, IsUUID, ValidateBy, ValidateIf } from 'class-validator';
import { IsMetadata } from './metadata.js';
import type {
  SchemaCreateMessageRequest,
  SchemaGivenResult,
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

/** A result has its content, which may be any JSON value, and says whether it is an error. */
const IsGivenResult = (): PropertyDecorator =>
  ValidateBy({
    name: 'isGivenResult',
    validator: {
      validate: (value: unknown) => {
        if (typeof value !== 'object' || value === null || !('content' in value)) return false;
        const { content: _, is_error: isError = false, ...others } = value as Record<string, unknown>;
        return typeof isError === 'boolean' && Object.keys(others).length === 0;
      },
      defaultMessage: () => 'must have content, and may have is_error (true or false), and nothing else',
    },
  });

const LONGEST_REASON = 1_000;

/** The fields of both forms of the request; the handler checks that there is exactly one. */
export class UpdateToolCallRequest {
  @MayBeLeftOut()
  @IsIn(['approve', 'deny'])
  decision?: 'approve' | 'deny';

  @MayBeLeftOut()
  @IsText(1, LONGEST_REASON)
  reason?: string;

  @MayBeLeftOut()
  @IsGivenResult()
  result?: SchemaGivenResult;
}

export class UpdateJobRequest implements SchemaUpdateJobRequest {
  @Equals('canceled')
  status: 'canceled';
}
