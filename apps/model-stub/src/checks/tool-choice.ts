import { invalid } from '../http.js';
import { isObject } from '../is-object.js';
import type { Model } from '../models/model.js';

/** The fields of each type of `tool_choice`. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  auto: ['disable_parallel_tool_use'],
  any: ['disable_parallel_tool_use'],
  tool: ['name', 'disable_parallel_tool_use'],
  none: [],
};

/** Checks which tools a request tells the model to use, if it does. @throws Refusal */
export function checkToolChoice(body: Readonly<Record<string, unknown>>, model: Model): void {
  const { tool_choice: choice, tools, thinking } = body;
  if (!isObject(choice)) return;
  const { type: given, ...fields } = choice;
  const type = String(given);
  const known = Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined;
  if (known === undefined) {
    throw invalid(
      `tool_choice: Input tag '${type}' found using 'type' does not match any of the expected tags: ` +
        "'auto', 'any', 'tool', 'none'",
    );
  }
  const extra = Object.keys(fields).find((name) => !known.includes(name));
  if (extra !== undefined) throw invalid(`tool_choice.${type}.${extra}: Extra inputs are not permitted`);
  const { disable_parallel_tool_use: oneByOne, name } = fields;
  if (oneByOne !== undefined && typeof oneByOne !== 'boolean') {
    throw invalid(`tool_choice.${type}.disable_parallel_tool_use: Input should be a valid boolean`);
  }
  if (type === 'tool' && name === undefined) throw invalid('tool_choice.tool.name: Field required');
  if (!Array.isArray(tools) || tools.length === 0) {
    throw invalid('tool_choice may only be specified while providing tools.');
  }
  if (type !== 'any' && type !== 'tool') return;
  if (!model.forcedTools) {
    throw invalid(`tool_choice: "${type}" is not supported for this model. Use "auto" or "none".`);
  }
  if (isObject(thinking) && (thinking['type'] === 'enabled' || thinking['type'] === 'adaptive')) {
    throw invalid('Thinking may not be enabled when tool_choice forces tool use.');
  }
  if (type === 'tool' && !tools.some((tool) => isObject(tool) && tool['name'] === name)) {
    throw invalid(`Tool '${String(name)}' not found in provided tools`);
  }
}
