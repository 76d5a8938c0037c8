import type { Call } from './sequences-known.js';
import { after, momentsOf } from './sequences-model.js';
import { Facts, mayHappen, NOTHING_YET, type State, Wrong } from './sequences-state.js';

/** How many states are tried before the search is given up: far more than histories of this size have. */
const MOST_STEPS = 200_000;

/**
 * Searches an order of the calls in which the model gives all their answers, and in which no call comes before one that had ended when it
 * began (linearizability; Herlihy and Wing 1990, with the search of Wing and Gong 1993). Calls that were made one after the other have only
 * one order, so for them this is a plain comparison. @throws Error with the longest history that can be explained, and the fault of each
 * call that might come next
 */
export function explain(calls: readonly Call[]): void {
  const facts = new Facts(calls);
  const begun = [...calls].sort((a, b) => a.began - b.began);
  const moments = begun.map(momentsOf);
  const known = new Set<string>();
  let best = { length: -1, path: [] as readonly string[], why: [] as string[] };
  let steps = 0;

  const search = (state: State, done: readonly number[], path: readonly string[]): boolean => {
    const place = `${done.join()} ${JSON.stringify(state)}`;
    if (known.has(place)) return false;
    known.add(place);
    if (++steps > MOST_STEPS) throw new Error('The search for an order takes too long.');
    const waiting = begun.map((call, index) => ({ call, index })).filter(({ index }) => done[index] !== moments[index]);
    if (waiting.length === 0) return true;
    const soonest = Math.min(...waiting.map(({ call }) => call.ended));
    const length = done.reduce((sum, n) => sum + n, 0);
    const why: string[] = [];
    for (const { call, index } of waiting) {
      if (call.began > soonest) continue;
      const moment = done[index] ?? 0;
      try {
        for (const next of after(state, call, moment, facts)) {
          if (search(next, done.with(index, moment + 1), [...path, inWords(call, moment, moments[index])])) return true;
        }
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        why.push(`${inWords(call, moment, moments[index])}\n      ${error.message}`);
      }
    }
    if (length >= best.length)
      best = { length, path, why: length > best.length ? why : [...best.why, '  or, if a job had ended:', ...why] };
    return mayHappen(state).some((next) => search(next, done, path));
  };

  const none = begun.map(() => 0);
  if (search(NOTHING_YET, none, [])) return;
  const lines = [
    'No order explains these answers. The longest history that can be explained:',
    ...best.path.map((line) => `  ${line}`),
    'and then none of these fits:',
    ...best.why.map((line) => `  ${line}`),
  ];
  throw new Error(lines.join('\n'));
}

function inWords({ request, answer, key, match, began, ended }: Call, moment: number, moments = 1): string {
  const notes = [key && `key ${key}`, match && `match ${match.etag}`, answer.replayed && 'replayed']
    .filter(Boolean)
    .join(', ');
  const body = JSON.stringify(answer.body) ?? '';
  const part = moments > 1 ? ` (${moment + 1} of ${moments})` : '';
  return `[${began}–${ended}] ${request} ${notes}${part} → ${answer.status} ${body.slice(0, 600)}`;
}
