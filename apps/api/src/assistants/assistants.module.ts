import { type DynamicModule, Module } from '@nestjs/common';
import { HealthDetails } from '#health/health-details.js';
import type { Settings } from '#settings/settings.js';
import { AssistantsController } from './assistants.controller.js';
import { readAssistantsFile } from './assistants-file.js';
import { AssistantsService } from './assistants.service.js';
import { McpWatch } from './mcp-watch.js';

const FILE = Symbol('ASSISTANTS_FILE');

@Module({})
export class AssistantsModule {
  static forRoot({ assistantsFile, production, tools, limits }: Settings): DynamicModule {
    const usersHaveCost = limits.costPerDay !== undefined;
    const lacksToolsSecret = production && tools.secrets.length === 0;
    return {
      module: AssistantsModule,
      controllers: [AssistantsController],
      providers: [
        AssistantsService,
        {
          provide: McpWatch,
          inject: [AssistantsService],
          useFactory: (assistants: AssistantsService) => new McpWatch(assistants),
        },
        { provide: HealthDetails, useExisting: McpWatch },
        {
          provide: FILE,
          inject: [McpWatch],
          useFactory: async (watch: McpWatch) =>
            watch.load(await readAssistantsFile(assistantsFile, { lacksToolsSecret, usersHaveCost })),
        },
      ],
      exports: [AssistantsService, HealthDetails],
    };
  }
}
