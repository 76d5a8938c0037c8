import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { operations } from '#contract/openapi.gen.js';

/** Statuses that each operation behind a token can answer with. */
const EVERYWHERE = [400, 401, 406, 500, 503];

/**
 * Ties a handler to its operation in `openapi.yaml`, and lists its statuses beside those that each operation has. The contract tests
 * compare this list, and the answers that they get, with the file.
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
