import { isDeepStrictEqual } from 'node:util';
import type { Surface } from './surface.js';

/** Every difference between the contract and the code, in words; empty when they agree. */
export function drift(contract: Surface, code: Surface): string[] {
  const faults: string[] = [];
  for (const id of new Set([...Object.keys(contract), ...Object.keys(code)])) {
    const declared = contract[id];
    const done = code[id];
    if (declared === undefined) {
      faults.push(`${id} (${done?.route}): in the code, not in the contract`);
    } else if (done === undefined) {
      faults.push(`${id} (${declared.route}): in the contract, not in the code`);
    } else {
      for (const part of ['route', 'statuses', 'body', 'query'] as const) {
        if (isDeepStrictEqual(declared[part], done[part])) continue;
        const [a, b] = [JSON.stringify(declared[part]), JSON.stringify(done[part])];
        // The order of fields does not matter.
        if (typeof declared[part] === 'object' && sorted(declared[part]) === sorted(done[part])) continue;
        faults.push(`${id}: ${part} is ${a} in the contract, ${b} in the code`);
      }
    }
  }
  return faults;
}

function sorted(value: object | string): string {
  return JSON.stringify(Object.entries(value).sort());
}
