import type { Effort, Thinking } from '#database/entities/assistant.entity.js';
import type { KnownModel, KnownModels } from './models.js';

/** The settings of an assistant that its model must support. */
export interface OfferedAssistant {
  readonly slug: string;
  readonly model: string;
  readonly maxOutputTokens: number;
  readonly thinking: Thinking | null;
  readonly effort: Effort | null;
  readonly showReasoning: boolean;
}

/** A setting of an assistant that its model refuses, or will refuse. */
export interface Finding {
  readonly assistant: string;
  readonly model: string;
  readonly kind: 'unknown' | 'retired' | 'deprecated' | 'max_output_tokens' | 'thinking' | 'effort';
  /** The fault and its remedy, in plain words. */
  readonly message: string;
}

/** Compares assistants with the known facts about their models. An unknown model gives no findings. */
export function checkModels(assistants: readonly OfferedAssistant[], models: KnownModels): Finding[] {
  return assistants.flatMap((assistant) => {
    const { slug, model: name } = assistant;
    const model = models.get(name);
    if (model === undefined) return [];
    const faults = model === 'unknown' ? [unknown(name)] : faultsOf(assistant, model);
    return faults.map(([kind, words]) => ({
      assistant: slug,
      model: name,
      kind,
      message: `The assistant ${JSON.stringify(slug)} ${words}`,
    }));
  });
}

type Fault = readonly [kind: Finding['kind'], words: string];

function unknown(name: string): Fault {
  const words = `has the model ${JSON.stringify(name)}, which the model's server does not have: its turns fail. Correct the name.`;
  return ['unknown', words];
}

function faultsOf(assistant: OfferedAssistant, model: KnownModel): Fault[] {
  const { maxOutputTokens, thinking, effort, showReasoning } = assistant;
  const name = JSON.stringify(assistant.model);
  // For a retired model the other checks do not matter.
  if (model.lifecycle === 'retired') {
    return [['retired', `has the model ${name}, which is retired: its turns fail. Give it another model.`]];
  }
  const faults: Fault[] = [];
  if (model.lifecycle === 'deprecated') {
    const since = model.deprecatedOn === undefined ? '' : ` since ${model.deprecatedOn}`;
    const until = model.retiresOn === undefined ? '' : `, and its retirement is planned for ${model.retiresOn}`;
    const words = `has the model ${name}, which is deprecated${since}${until}: its turns will fail then. Give it another model before.`;
    faults.push(['deprecated', words]);
  }
  if (model.maxTokens !== undefined && maxOutputTokens > model.maxTokens) {
    const words =
      `has max_output_tokens: ${maxOutputTokens}, and ${name} writes at most ${model.maxTokens}: the model refuses its turns. ` +
      `Lower max_output_tokens.`;
    faults.push(['max_output_tokens', words]);
  }
  if (thinking !== null && model.thinking[thinking] === false) {
    faults.push(['thinking', refused('thinking', thinking, name, model.thinking)]);
  }
  if (showReasoning && thinking === null && model.thinking.adaptive === false) {
    const words =
      `has show_reasoning: true, and ${name} does not take thinking: adaptive, which shows the reasoning: the model refuses its turns. ` +
      `Leave out show_reasoning.`;
    faults.push(['thinking', words]);
  }
  if (effort !== null && model.effort[effort] === false) {
    faults.push(['effort', refused('effort', effort, name, model.effort)]);
  }
  return faults;
}

function refused(field: string, value: string, name: string, taken: Readonly<Record<string, boolean>>): string {
  const others = Object.keys(taken).filter((other) => taken[other]);
  const instead = others.length === 0 ? 'Leave it out' : `Choose ${others.join(', ')}, or leave it out`;
  return `has ${field}: ${value}, which ${name} does not take: the model refuses its turns. ${instead}.`;
}
