import { Get, Query } from '@nestjs/common';
import { UsageQuery } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import { Operation } from '../http/operation.decorator.js';
import { ForOperators } from './admin.decorator.js';
import { type UsageLine, UsageService } from './usage.service.js';

type Schemas = components['schemas'];

/** Usage, for operators. */
@ForOperators('usage')
export class UsageController {
  constructor(private readonly usage: UsageService) {}

  @Get()
  @Operation('getUsage', [200, 304, 404, 412, 422])
  async get(@Query() query: UsageQuery): Promise<Schemas['UsagePage']> {
    const { from, to, lines, hasMore, after } = await this.usage.page(query);
    return { from, to, data: lines.map(presentLine), has_more: hasMore, after };
  }
}

function presentLine({ day, assistant, user, calls, inputTokens, outputTokens }: UsageLine): Schemas['UsageLine'] {
  return {
    ...(day !== undefined && { day }),
    ...(assistant !== undefined && { assistant: assistant || null }),
    ...(user !== undefined && { user_id: user || null }),
    calls,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
  };
}
