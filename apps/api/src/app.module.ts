import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { EntityManager } from 'typeorm';
import { DatabaseModule } from '#database/database.module.js';
import { UserTags } from '#database/user-tags.js';
import { HttpErrorFilter } from '#process/http-error.filter.js';
import { FeedModule } from '#feed/feed.module.js';
import { JobFeed } from '#feed/job-feed.js';
import { HealthService } from '#health/health.service.js';
import { QueueModule } from '#queue/queue.module.js';
import type { Settings } from '#settings/settings.js';
import { StoreMetrics } from '#telemetry/stores.js';
import { Tracing } from '#telemetry/tracing.js';
import { AdminChatsController } from './admin/admin-chats.controller.js';
import { AdminJobsController } from './admin/admin-jobs.controller.js';
import { AdminJobsService } from './admin/admin-jobs.service.js';
import { AdminToolCallsController } from './admin/admin-tool-calls.controller.js';
import { AdminUsersController } from './admin/admin-users.controller.js';
import { BudgetsController } from './admin/budgets.controller.js';
import { DispatchController } from './admin/dispatch.controller.js';
import { UsageController } from './admin/usage.controller.js';
import { UsageService } from './admin/usage.service.js';
import { AssistantsModule } from './assistants/assistants.module.js';
import { AssistantsService } from './assistants/assistants.service.js';
import { AuthModule } from './auth/auth.module.js';
import { ChatsController } from './chats/chats.controller.js';
import { ChatsService } from './chats/chats.service.js';
import { OpenChat } from './chats/open-chat.js';
import { ApiHealthController } from './health/api-health.controller.js';
import { Answers } from './http/answers.js';
import { Connections } from './http/connections.js';
import { Farewell } from './http/farewell.js';
import { Preferences } from './http/prefer.js';
import { RepresentationInterceptor } from './http/representation.interceptor.js';
import { RequestSpans } from './http/request-spans.js';
import { StrictQueryInterceptor } from './http/strict-query.interceptor.js';
import { StrictValidationPipe } from './http/validation.pipe.js';
import { KeptRequests } from './idempotency/kept-requests.js';
import { DueJobs } from './jobs/due-jobs.js';
import { JobEvents } from './jobs/job-events.js';
import { JobWaiter } from './jobs/job-waiter.js';
import { JobsController } from './jobs/jobs.controller.js';
import { JobsService } from './jobs/jobs.service.js';
import { SharedReads } from './jobs/shared-reads.js';
import { ToolCallsController } from './jobs/tool-calls.controller.js';
import { ToolCallsService } from './jobs/tool-calls.service.js';
import { Limits } from './limits/limits.js';
import { Capacity } from './limits/capacity.js';
import { OpenStreams } from './limits/open-streams.js';
import { RowQueues } from './limits/row-queues.js';
import { ErasureAnswers } from './me/erasure-answers.js';
import { ExportService } from './me/export.service.js';
import { MeController } from './me/me.controller.js';
import { MeService } from './me/me.service.js';
import { ApiMetrics } from './metrics/api-metrics.js';
import { BudgetMetrics } from './metrics/budget-metrics.js';
import { QueueMetrics } from './metrics/queue-metrics.js';
import { MessagesController } from './messages/messages.controller.js';
import { MessagesService } from './messages/messages.service.js';
import { JobAcceptance } from './turns/job-acceptance.js';
import { RepliesController } from './turns/replies.controller.js';
import { RepliesService } from './turns/replies.service.js';
import { TurnsController } from './turns/turns.controller.js';
import { TurnsService } from './turns/turns.service.js';

/** The API app: everything between a request and the rows that it writes or reads. */
@Module({})
export class AppModule {
  static forRoot(settings: Settings, connections: Connections): DynamicModule {
    const { database, redisUrl } = settings;
    const store = { databaseUrl: database.url, redisUrl };
    return {
      module: AppModule,
      imports: [
        DatabaseModule.forRoot({ ...database, applicationName: 'rejoinder-api' }),
        QueueModule.forRoot(store),
        FeedModule.forRoot(store, 'rejoinder-api-feed', 'reads'),
        AuthModule.forRoot(settings.jwt),
        AssistantsModule.forRoot(settings),
      ],
      controllers: [
        ApiHealthController,
        ChatsController,
        MessagesController,
        TurnsController,
        RepliesController,
        JobsController,
        ToolCallsController,
        MeController,
        AdminToolCallsController,
        AdminJobsController,
        AdminChatsController,
        AdminUsersController,
        DispatchController,
        UsageController,
        BudgetsController,
      ],
      providers: [
        KeptRequests,
        ChatsService,
        OpenChat,
        MessagesService,
        JobAcceptance,
        TurnsService,
        RepliesService,
        JobsService,
        DueJobs,
        SharedReads,
        ToolCallsService,
        JobEvents,
        MeService,
        ErasureAnswers,
        ExportService,
        AdminJobsService,
        UsageService,
        HealthService,
        StoreMetrics,
        QueueMetrics,
        BudgetMetrics,
        ApiMetrics,
        { provide: Connections, useValue: connections },
        { provide: Preferences, useValue: new Preferences(settings.longestWaitSeconds) },
        Farewell,
        Answers,
        RequestSpans,
        Tracing,
        UserTags,
        {
          provide: JobWaiter,
          // Each waiting request holds a connection and a timer, as a stream does.
          useFactory: (feed: JobFeed) => new JobWaiter(feed, settings.limits.openStreams),
          inject: [JobFeed],
        },
        {
          provide: Limits,
          useFactory: (manager: EntityManager, assistants: AssistantsService) =>
            new Limits(manager, settings.limits, assistants),
          inject: [EntityManager, AssistantsService],
        },
        {
          provide: Capacity,
          useFactory: (manager: EntityManager) => new Capacity(manager, settings.limits),
          inject: [EntityManager],
        },
        { provide: RowQueues, useValue: new RowQueues(database.poolSize) },
        {
          provide: OpenStreams,
          useFactory: (manager: EntityManager, limits: Limits) => new OpenStreams(manager, limits, settings.limits),
          inject: [EntityManager, Limits],
        },
        { provide: APP_FILTER, useClass: HttpErrorFilter },
        { provide: APP_PIPE, useClass: StrictValidationPipe },
        { provide: APP_INTERCEPTOR, useClass: StrictQueryInterceptor },
        { provide: APP_INTERCEPTOR, useClass: RepresentationInterceptor },
      ],
    };
  }
}
