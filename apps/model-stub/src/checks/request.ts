import { type Prompt, readPrompt } from '../cache/prompt.js';
import { invalid, Refusal } from '../http.js';
import type { MessagesRequest } from '../messages-request.js';
import type { Model } from '../models/model.js';
import type { Models } from '../models/models.js';
import type { Pauses } from '../pauses.js';
import { checkThoughts } from '../thinking.js';
import { type Turn, turnsOf } from '../turns.js';
import { checkContent } from './content.js';
import { checkKeptThoughts } from './kept-thoughts.js';
import { checkParameters } from './parameters.js';
import { isObject } from '../is-object.js';
import { checkShape } from './shape.js';
import { checkToolDefinitions } from './tool-definitions.js';
import { checkToolPairs } from './tools.js';

/** A request that the API would accept. */
export interface Checked {
  readonly model: Model;
  readonly turns: readonly Turn[];
  readonly prompt: Prompt;
}

/** The prompt is longer than the model's context. */
export class TooLong extends Refusal {
  constructor(tokens: number, most: number) {
    super(400, 'invalid_request_error', `prompt is too long: ${tokens} tokens > ${most} maximum`);
  }
}

/** Checks a request as the API does, in its order and with its words. @throws Refusal */
export function checkRequest(body: unknown, request: MessagesRequest, models: Models, pauses: Pauses): Checked {
  checkShape(body);
  checkToolDefinitions(request.tools);
  checkContent((body as { messages: unknown[] }).messages, request.system);
  const model = models.toAnswer(request.model);
  checkParameters(body as Record<string, unknown>, model);
  const turns = turnsOf(request.messages);
  if (turns[0]?.role !== 'user') throw invalid('messages: first message must use the "user" role');
  checkToolPairs(turns, request.tools);
  const drops = dropsMoved(request.thinking);
  checkThoughts(model, request, turns, drops);
  if (!drops) checkKeptThoughts(request.thinking, model, turns);
  pauses.check(turns, model.prefill);
  const prompt = readPrompt(request, model);
  if (model.max_input_tokens !== null && prompt.tokens > model.max_input_tokens) {
    throw new TooLong(prompt.tokens, model.max_input_tokens);
  }
  return { model, turns, prompt };
}

function dropsMoved(thinking: unknown): boolean {
  const binding = isObject(thinking) ? thinking['block_binding'] : undefined;
  return isObject(binding) && binding['prefix_mismatch_behavior'] === 'drop_block';
}
