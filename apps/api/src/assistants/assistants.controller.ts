import { Controller, Get, Param } from '@nestjs/common';
import type { components } from '#contract/openapi.gen.js';
import { Operation } from '../http/operation.decorator.js';
import { AssistantSlug } from '../http/path.pipe.js';
import { AssistantsService } from './assistants.service.js';
import { presentAssistant } from './present-assistant.js';

type Schemas = components['schemas'];

@Controller('api/v1/assistants')
export class AssistantsController {
  constructor(private readonly assistants: AssistantsService) {}

  @Get()
  @Operation('listAssistants', [200, 304, 412, 422])
  async list(): Promise<Schemas['AssistantList']> {
    return { data: (await this.assistants.list()).map(presentAssistant) };
  }

  @Get(':slug')
  @Operation('getAssistant', [200, 304, 404, 412, 422])
  async get(@Param('slug', AssistantSlug) slug: string): Promise<Schemas['Assistant']> {
    return presentAssistant(await this.assistants.get(slug));
  }
}
