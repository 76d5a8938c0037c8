import { PHRASES } from '../answers/phrases.js';
import type { OfferedTool } from './offered.js';
import type { Outcome } from './progress.js';

const QUOTED = 300;

/** The words of an error by which a service says that somebody refused a call. */
const DENIED = /\b(?:denied|declined|rejected|refused|not (?:allowed|approved|permitted))\b/iu;

/** The sentence before the first calls of a turn. */
export function announcement(names: readonly string[]): string {
  return `${PHRASES.en.mark} I use ${listed(names)}.`;
}

/** The names and descriptions of the tools that a request offers. */
export function toolList(tools: ReadonlyMap<string, OfferedTool>): string {
  if (tools.size === 0) return `${PHRASES.en.mark} I have no tools here.`;
  const lines = [...tools.values()].map(
    ({ name, description }) => `- \`${name}\`${description === '' ? '' : `: ${shortened(description)}`}`,
  );
  const [example = ''] = tools.keys();
  return [
    `${PHRASES.en.mark} These are my tools:`,
    lines.join('\n'),
    `Say \`use ${example}\`, and I use it, with an input that I make up; or give the input, as JSON, behind the name.`,
  ].join('\n\n');
}

/** The reason why a command cannot be done, and the tools that there are. */
export function excuse(reason: string, tools: ReadonlyMap<string, OfferedTool>): string {
  return `${PHRASES.en.mark} ${reason} My tools: ${listed([...tools.keys()])}.`;
}

/** What each call gave, in the order of the results. @param served the API's own tools that were used */
export function report(outcomes: readonly Outcome[], served: readonly string[]): string {
  const lines = outcomes.map(({ name, text, isError }) => {
    const verb = !isError ? 'gave' : DENIED.test(text) ? 'was denied' : 'failed with an error';
    return `- \`${name}\` ${verb}: ${shortened(text) || '(nothing)'}`;
  });
  const own = served.length > 0 ? [`I used ${listed(served)}, which the stand-in only pretends to have.`] : [];
  if (lines.length > 0) own.push('These are the results:', lines.join('\n'));
  return [`${PHRASES.en.mark} ${own[0]}`, ...own.slice(1)].join('\n\n');
}

function listed(names: readonly string[]): string {
  return [...new Set(names)].map((name) => `\`${name}\``).join(', ');
}

/** The text in one line, or the beginning of it. */
function shortened(text: string): string {
  const characters = [...text.trim().replace(/\s+/gu, ' ')];
  return characters.length > QUOTED ? `${characters.slice(0, QUOTED).join('')}…` : characters.join('');
}
