import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { EntityManager } from 'typeorm';
import { connect, dataSourceOptions } from '#database/data-source.js';
import { DatabaseModule } from '#database/database.module.js';
import { UserTags } from '#database/user-tags.js';
import { HttpErrorFilter } from '#process/http-error.filter.js';
import { FeedModule } from '#feed/feed.module.js';
import { HealthController } from '#health/health.controller.js';
import { HealthDetails } from '#health/health-details.js';
import { HealthService } from '#health/health.service.js';
import { QueueModule } from '#queue/queue.module.js';
import type { Settings } from '#settings/settings.js';
import { StoreMetrics } from '#telemetry/stores.js';
import { Tracing } from '#telemetry/tracing.js';
import { Attempts } from './attempt/attempts.js';
import { Endings } from './attempt/endings.js';
import { Steps } from './attempt/steps.js';
import { Summaries } from './attempt/summaries.js';
import { ToolCalls } from './attempt/tool-calls.js';
import { Heartbeats } from './attempt/heartbeats.js';
import { WorkerLife } from './attempt/worker-life.js';
import { ReplyPublisher } from './attempt/publisher.js';
import { StopNotices } from './attempt/stop-notices.js';
import { Windows } from './attempt/windows.js';
import { Claimer } from './dispatch/claimer.js';
import { QueueProcessor } from './dispatch/queue.processor.js';
import { Slots } from './dispatch/slots.js';
import { MetricsController } from './metrics/metrics.controller.js';
import { WorkerMetrics } from './metrics/worker-metrics.js';
import { Circuits } from './model/circuits.js';
import { Model } from './model/model.js';
import { modelClient, modelList } from './model/model-client.js';
import { ModelWatch } from './model/model-watch.js';
import { CallSlots } from './tools/call-slots.js';
import { HttpTools } from './tools/http-tool.js';
import { McpTools } from './tools/mcp-tool.js';
import { namedAddress } from './tools/named-address.js';
import { ToolRunners } from './tools/tool-runners.js';
import { Clearing } from './reconciler/clearing.js';
import { Reconciler } from './reconciler/reconciler.js';

/**
 * How many connections of a worker its heartbeats have. One is enough for thousands of attempts; the second one is for the time when a
 * statement on the first does not return. Other statements wait for the pool, which these connections are not part of.
 */
const leaseConnections = (poolSize: number): number => (poolSize < 4 ? 1 : 2);

/** The worker app: everything between a ticket and the assistant's message. */
@Module({})
export class WorkerModule {
  static forRoot(settings: Settings): DynamicModule {
    const { database, redisUrl } = settings;
    const store = { databaseUrl: database.url, redisUrl };
    const ofLeases = leaseConnections(database.poolSize);
    const poolSize = database.poolSize - ofLeases;
    const leases = { ...database, poolSize: ofLeases, applicationName: 'rejoinder-worker-leases' };
    return {
      module: WorkerModule,
      imports: [
        DatabaseModule.forRoot({ ...database, poolSize, applicationName: 'rejoinder-worker' }),
        QueueModule.forRoot(store),
        FeedModule.forRoot(store, 'rejoinder-worker-feed', 'writes'),
      ],
      controllers: [HealthController, MetricsController],
      providers: [
        { provide: Model, useFactory: async () => new Model(settings.model, await modelClient(settings.model)) },
        Circuits,
        {
          provide: ModelWatch,
          useFactory: (manager: EntityManager) => new ModelWatch(manager, modelList(settings.model)),
          inject: [EntityManager],
        },
        { provide: HealthDetails, useExisting: ModelWatch },
        {
          provide: Heartbeats,
          useFactory: async () =>
            new Heartbeats(await connect({ ...dataSourceOptions(leases), entities: [], migrations: [] })),
        },
        { provide: Slots, useFactory: () => new Slots(settings.workerConcurrency, settings.workerDrainMs) },
        Claimer,
        QueueProcessor.on(store),
        Attempts,
        Endings,
        Steps,
        Windows,
        Summaries,
        ToolCalls,
        ToolRunners,
        { provide: HttpTools, useFactory: () => new HttpTools(settings.tools) },
        { provide: McpTools, useFactory: () => new McpTools(namedAddress) },
        { provide: CallSlots, useFactory: () => new CallSlots(settings.tools.callsAtOnce) },
        WorkerLife,
        StopNotices,
        ReplyPublisher,
        UserTags,
        Reconciler,
        Clearing,
        HealthService,
        StoreMetrics,
        Tracing,
        {
          provide: WorkerMetrics,
          useFactory: (circuits: Circuits, models: ModelWatch) =>
            new WorkerMetrics(circuits, models, settings.workerConcurrency),
          inject: [Circuits, ModelWatch],
        },
        { provide: APP_FILTER, useClass: HttpErrorFilter },
      ],
    };
  }
}
