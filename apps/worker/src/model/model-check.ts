import type { Effort, Thinking } from '#database/entities/assistant.entity.js';
import type { KnownModel, KnownModels } from './models.js';

/** The settings of an assistant that its models must support. */
export interface OfferedAssistant {
  readonly slug: string;
  readonly model: string;
  /** Null: none. It gets the same settings. */
  readonly fallbackModel: string | null;
  readonly maxOutputTokens: number;
  readonly contextTokens: number;
  readonly thinking: Thinking | null;
  readonly effort: Effort | null;
  readonly showReasoning: boolean;
  readonly hasOutputSchema: boolean;
}

/** A setting of an assistant that one of its models refuses, or will refuse. */
export interface Finding {
  readonly assistant: string;
  readonly model: string;
  readonly kind:
    | 'unknown'
    | 'retired'
    | 'deprecated'
    | 'max_output_tokens'
    | 'context_tokens'
    | 'thinking'
    | 'effort'
    | 'output_schema';
  /** The fault and its remedy, in plain words. */
  readonly message: string;
}

/** Compares assistants with the known facts about their models. An unknown model gives no findings. */
export function checkModels(assistants: readonly OfferedAssistant[], models: KnownModels): Finding[] {
  return assistants.flatMap((assistant) =>
    [assistant.model, assistant.fallbackModel].flatMap((name) => {
      const model = name === null ? undefined : models.get(name);
      if (name === null || model === undefined) return [];
      const use: Use = { name: JSON.stringify(name), ...useOf(name, assistant) };
      const faults = model === 'unknown' ? [unknown(use)] : faultsOf(assistant, model, use);
      return faults.map(([kind, words]) => ({
        assistant: assistant.slug,
        model: name,
        kind,
        message: `The assistant ${JSON.stringify(assistant.slug)} ${words}`,
      }));
    }),
  );
}

type Fault = readonly [kind: Finding['kind'], words: string];

/** How an assistant uses a model, in words. */
interface Use {
  readonly name: string;
  readonly role: string;
  readonly turns: string;
  /** The end of these turns if the model is gone. */
  readonly fail: string;
}

function useOf(name: string, { model, fallbackModel }: OfferedAssistant): Omit<Use, 'name'> {
  if (name !== model) return { role: 'fallback_model', turns: 'turns that fall back to it', fail: 'fail' };
  return { role: 'model', turns: 'its turns', fail: fallbackModel === null ? 'fail' : 'go to the fallback_model' };
}

function unknown({ name, role, turns, fail }: Use): Fault {
  const words = `has the ${role} ${name}, which the model's server does not have: ${turns} ${fail}. Correct the name.`;
  return ['unknown', words];
}

function faultsOf(assistant: OfferedAssistant, model: KnownModel, use: Use): Fault[] {
  const { maxOutputTokens, contextTokens, thinking, effort, showReasoning } = assistant;
  const { name, role, turns, fail } = use;
  // For a retired model the other checks do not matter.
  if (model.lifecycle === 'retired') {
    return [['retired', `has the ${role} ${name}, which is retired: ${turns} ${fail}. Give it another ${role}.`]];
  }
  const faults: Fault[] = [];
  if (model.lifecycle === 'deprecated') {
    const since = model.deprecatedOn === undefined ? '' : ` since ${model.deprecatedOn}`;
    const until = model.retiresOn === undefined ? '' : `, and its retirement is planned for ${model.retiresOn}`;
    const words = `has the ${role} ${name}, which is deprecated${since}${until}: ${turns} will ${fail} then. Give it another ${role} before.`;
    faults.push(['deprecated', words]);
  }
  if (model.maxTokens !== undefined && maxOutputTokens > model.maxTokens) {
    const words =
      `has max_output_tokens: ${maxOutputTokens}, and ${name} writes at most ${model.maxTokens}: the model refuses ${turns}. ` +
      `Lower max_output_tokens.`;
    faults.push(['max_output_tokens', words]);
  } else if (model.maxInputTokens !== undefined && contextTokens + maxOutputTokens > model.maxInputTokens) {
    const words =
      `has context_tokens: ${contextTokens} and max_output_tokens: ${maxOutputTokens}, and the context of ${name} has ` +
      `${model.maxInputTokens}: in long chats the model has no room for its reply. ` +
      `Lower context_tokens to ${Math.max(0, model.maxInputTokens - maxOutputTokens)}.`;
    faults.push(['context_tokens', words]);
  }
  if (thinking !== null && model.thinking[thinking] === false) {
    faults.push(['thinking', refused('thinking', thinking, use, model.thinking)]);
  }
  if (showReasoning && thinking === null && model.thinking.adaptive === false) {
    const words =
      `has show_reasoning: true, and ${name} does not take thinking: adaptive, which shows the reasoning: the model refuses ${turns}. ` +
      `Leave out show_reasoning.`;
    faults.push(['thinking', words]);
  }
  if (effort !== null && model.effort[effort] === false) {
    faults.push(['effort', refused('effort', effort, use, model.effort)]);
  }
  if (assistant.hasOutputSchema && model.structuredOutputs === false) {
    const words = `has an output_schema, to which ${name} cannot be held: the model refuses ${turns}. Give it another ${role}, or leave it out.`;
    faults.push(['output_schema', words]);
  }
  return faults;
}

function refused(field: string, value: string, { name, turns }: Use, taken: Readonly<Record<string, boolean>>): string {
  const others = Object.keys(taken).filter((other) => taken[other]);
  const instead = others.length === 0 ? 'Leave it out' : `Choose ${others.join(', ')}, or leave it out`;
  return `has ${field}: ${value}, which ${name} does not take: the model refuses ${turns}. ${instead}.`;
}
