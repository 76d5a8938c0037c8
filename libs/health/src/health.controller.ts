import { Controller, Get, Optional, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { HealthDetails } from './health-details.js';
import { HealthService } from './health.service.js';

type Health = components['schemas']['Health'];

/** Probes: is the process alive, and may it get work? */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthService,
    @Optional() private readonly details?: HealthDetails,
  ) {}

  /** Alive: the event loop turns. Nothing else is checked, so that an outage of the database restarts no process. */
  @Get('live')
  live(): Health {
    return { status: 'ok' };
  }

  /** Ready: the database answers, and the process is not stopping. The queue is only reported, since the service accepts turns without it. */
  @Get('ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Health> {
    const health = await this.health.check();
    void reply.status(health.status === 'ok' ? 200 : 503);
    return { ...health, ...this.details?.healthDetails() };
  }
}
