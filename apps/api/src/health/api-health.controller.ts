import { Controller, Get, Optional, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { HealthDetails } from '#health/health-details.js';
import { HealthController } from '#health/health.controller.js';
import { HealthService } from '#health/health.service.js';
import { Public } from '../auth/public.decorator.js';
import { Operation } from '../http/operation.decorator.js';

type Health = components['schemas']['Health'];

/** The health routes of both apps, as in the contract, open to callers without a token. */
@Public()
@Controller('health')
export class ApiHealthController extends HealthController {
  constructor(health: HealthService, @Optional() details?: HealthDetails) {
    super(health, details);
  }

  @Get('live')
  @Operation('getLiveness', [200, 400], [])
  override live(): Health {
    return super.live();
  }

  @Get('ready')
  @Operation('getReadiness', [200, 400, 503], [])
  override ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Health> {
    return super.ready(reply);
  }
}
