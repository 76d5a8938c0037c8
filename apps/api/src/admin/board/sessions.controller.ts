import { Body, Logger, Post } from '@nestjs/common';
import type { components } from '#contract/openapi.gen.js';
import { NoFields } from '#contract/requests.dto.js';
import { UserTags } from '#database/user-tags.js';
import { line } from '#process/log-line.js';
import { TheCaller } from '../../auth/caller.decorator.js';
import type { Caller } from '../../auth/jwt.strategy.js';
import { BOARD_PREFIX } from '../../http/hidden.js';
import { Operation } from '../../http/operation.decorator.js';
import { ForOperators } from '../admin.decorator.js';
import { BoardSessions } from './sessions.js';

/** Links to the board, for browsers. */
@ForOperators('sessions')
export class SessionsController {
  private readonly logger = new Logger(SessionsController.name);

  constructor(
    private readonly sessions: BoardSessions,
    private readonly users: UserTags,
  ) {}

  @Post()
  @Operation('createAdminSession', [201, 404, 413, 415, 422])
  async create(
    @TheCaller() { userId, endsAt }: Caller,
    @Body() _body: NoFields,
  ): Promise<components['schemas']['AdminSession']> {
    const { secret, until } = await this.sessions.create(userId, endsAt);
    this.logger.log(line('a link to the board was made', { operator: this.users.tagOf(userId) }));
    return { url: `${BOARD_PREFIX}/enter?key=${secret}`, expires_at: until.toISOString() };
  }
}
