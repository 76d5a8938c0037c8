import { Body, Get, Logger, Patch } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { UserTags } from '#database/user-tags.js';
import { logLine } from '#process/log-line.js';
import { UpdateDispatchRequest } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import { type DispatchState, lockDispatch, readDispatch, setDispatch } from '#jobs/dispatch.js';
import { UserId } from '../auth/caller.decorator.js';
import { Operation } from '../http/operation.decorator.js';
import { type Preconditions, ThePreconditions } from '../http/preconditions.js';
import { ForOperators } from './admin.decorator.js';

type Dispatch = components['schemas']['Dispatch'];

/** The switch of dispatch. */
@ForOperators('dispatch')
export class DispatchController {
  private readonly logger = new Logger(DispatchController.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly users: UserTags,
  ) {}

  @Get()
  @Operation('getDispatch', [200, 304, 404, 412, 422])
  async get(): Promise<Dispatch> {
    return presentDispatch(await readDispatch(this.manager));
  }

  @Patch()
  @Operation('updateDispatch', [200, 404, 412, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Body() { paused }: UpdateDispatchRequest,
    @ThePreconditions() preconditions: Preconditions,
  ): Promise<Dispatch> {
    const state = await this.manager.transaction(async (manager) => {
      preconditions.assertMayChange(presentDispatch(await lockDispatch(manager)));
      return setDispatch(manager, paused, userId);
    });
    const verb = paused ? 'paused' : 'resumed';
    if (state.changed)
      this.logger.warn(logLine(`an operator ${verb} dispatch`, { operator: this.users.tagOf(userId) }));
    return presentDispatch(state);
  }
}

function presentDispatch({ paused, changedAt, changedBy }: DispatchState): Dispatch {
  return { paused, changed_at: changedAt.toISOString(), changed_by: changedBy };
}
