import { isObject } from './is-object.js';
import type { Model } from './models/model.js';

/** Whether the model thinks in an answer. @param goesOn whether the answer goes on after results of tools */
export function thinks(thinking: unknown, model: Model, goesOn: boolean): boolean {
  const type = isObject(thinking) ? thinking['type'] : undefined;
  if (type === undefined) return model.thinksUnasked;
  return type === 'adaptive' || type === 'enabled' || (type === 'between_tools' && goesOn);
}
