import { type DynamicModule, Module } from '@nestjs/common';
import { AssistantsController } from './assistants.controller.js';
import { readAssistantsFile } from './assistants-file.js';
import { AssistantsService } from './assistants.service.js';

const FILE = Symbol('ASSISTANTS_FILE');

@Module({})
export class AssistantsModule {
  static forRoot(path: string): DynamicModule {
    return {
      module: AssistantsModule,
      controllers: [AssistantsController],
      providers: [
        AssistantsService,
        {
          provide: FILE,
          inject: [AssistantsService],
          useFactory: async (assistants: AssistantsService) => assistants.load(await readAssistantsFile(path)),
        },
      ],
    };
  }
}
