import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AFTER_DRAIN_MS } from '#jobs/timings.js';
import { keepFewConnections } from '#process/few-connections.js';
import { AppLogger } from '#process/logger.js';
import { requestId, sendRequestId } from '#process/request-id.js';
import { listen, startApp } from '#process/start-app.js';
import { loadEnvFile, readSettings } from '#settings/settings.js';
import { beginTracing } from '#telemetry/tracing.js';
import { WorkerModule } from './worker.module.js';

void startApp('worker', async () => {
  loadEnvFile();
  const settings = readSettings('worker');
  await beginTracing(settings, 'worker');
  const adapter = new FastifyAdapter({
    bodyLimit: 1024,
    http: { connectionsCheckingInterval: 2_000 },
    genReqId: requestId,
  });
  keepFewConnections(adapter.getHttpServer());
  sendRequestId(adapter.getInstance());
  const app = await NestFactory.create<NestFastifyApplication>(WorkerModule.forRoot(settings), adapter, {
    logger: new AppLogger(settings, 'worker'),
    abortOnError: false,
  });
  await listen(app, settings.workerPort, settings.host);
  return { app, stopMs: settings.workerDrainMs + AFTER_DRAIN_MS };
});
