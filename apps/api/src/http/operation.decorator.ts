import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { operations } from '#contract/openapi.gen.js';

/** What any operation behind a token can answer. */
const EVERYWHERE = [400, 401, 406, 500, 503];

/**
 * Ties a handler to its operation in `openapi.yaml` and names the statuses it can answer with, beside those that
 * every operation has. The contract tests hold this, and what was really answered, against the file.
 */
export function Operation(
  id: keyof operations,
  statuses: readonly number[],
  everywhere: readonly number[] = EVERYWHERE,
): MethodDecorator {
  return applyDecorators(
    ApiOperation({ operationId: id }),
    ...[...statuses, ...everywhere].map((status) => ApiResponse({ status })),
  );
}
