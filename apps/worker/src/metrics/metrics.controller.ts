import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { registry } from '#telemetry/registry.js';

/** The worker's metrics, in the text format of Prometheus. */
@Controller('metrics')
export class MetricsController {
  @Get()
  async metrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    void reply.type(registry.contentType).header('cache-control', 'no-store');
    return registry.metrics();
  }
}
