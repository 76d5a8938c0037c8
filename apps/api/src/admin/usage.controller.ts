import { Get, Query } from '@nestjs/common';
import { UsageQuery } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import type { CallPurpose } from '#database/entities/model-call.entity.js';
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
    const { from, to, currency, lines, hasMore, after } = await this.usage.page(query);
    return { from, to, currency, data: lines.map(presentLine), has_more: hasMore, after };
  }
}

function presentLine(line: UsageLine): Schemas['UsageLine'] {
  const { day, assistant, user, model, purpose } = line;
  return {
    ...(day !== undefined && { day }),
    ...(assistant !== undefined && { assistant: assistant || null }),
    ...(user !== undefined && { user_id: user || null }),
    ...(model !== undefined && { model }),
    ...(purpose !== undefined && { purpose: purpose as CallPurpose }),
    calls: line.calls,
    input_tokens: line.inputTokens,
    output_tokens: line.outputTokens,
    cache_read_tokens: line.cacheReadTokens,
    cache_write_tokens: line.cacheWriteTokens,
    thinking_tokens: line.thinkingTokens,
    cost: line.cost,
  };
}
