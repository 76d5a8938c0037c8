import { languageOf } from './language.js';
import { type Phrases, PHRASES } from './phrases.js';

const QUOTED = 200;
const REINSTALL = /reinstal|réinstall|neu\s*install|installier.*neu|重新安装|再インストール/iu;
const LONG =
  /\b(long|in detail|detailed|largo|larga|en detalle|tabla|table|ausführlich|lang|tabelle|détail|tableau|detalhes?|tabela|dettaglio|tabella)\b|详细|表格|詳しく|表で/iu;

/** The number of sections of a long answer, which fills about three screens. */
const SECTIONS = 9;

/**
 * An answer that is useful and clearly not from a real model. It is in Markdown, in the question's language, and long if the question asks
 * for that. The same question gets the same answer. @param tool a tool that the user may ask for
 */
export function standInReply(question: string, tool?: string): string {
  const phrases = PHRASES[languageOf(question)];
  const help = REINSTALL.test(question) ? phrases.reinstall : phrases.generic;
  const parts = [`${phrases.mark} ${phrases.asked(quoted(question))} ${help}`];
  if (REINSTALL.test(question)) parts.push(phrases.steps.map((step, n) => `${n + 1}. ${step}`).join('\n'));
  else parts.push(heading(phrases.heading), list(phrases.points));
  // The same questions always get the same variant.
  const turn = [...question].length % 3;
  if (tool !== undefined) parts.push(phrases.tools(`\`use ${tool}\``));
  const long = LONG.test(question);
  if (long || turn === 0) parts.push(table(phrases));
  if (long || turn === 1) parts.push(code(phrases));
  if (long) {
    for (let n = 1; n <= SECTIONS; n++) {
      parts.push(
        heading(`${phrases.section} ${n}`),
        phrases.filler,
        n % 2 === 0 ? list(phrases.points) : phrases.filler,
      );
    }
  }
  return [...parts, `(${phrases.note})`].join('\n\n');
}

/** A reply in one line of about thirty words: tests that script only the pace rely on its duration. */
export function briefReply(question: string): string {
  const phrases = PHRASES[languageOf(question)];
  const help = REINSTALL.test(question) ? [phrases.reinstall, ...phrases.steps].join(' ') : phrases.generic;
  return `${phrases.mark} ${phrases.asked(quoted(question))} ${help} (${phrases.note})`;
}

/** The question in one line, or the beginning of it. */
function quoted(question: string): string {
  const characters = [...question.trim().replace(/\s+/gu, ' ')];
  return characters.length > QUOTED ? `${characters.slice(0, QUOTED).join('')}…` : characters.join('');
}

function heading(text: string): string {
  return `## ${text}`;
}

function list(points: readonly string[]): string {
  return points.map((point) => `- ${point}`).join('\n');
}

function code({ code: comment }: Phrases): string {
  return `\`\`\`sh\n# ${comment}\nexport ANTHROPIC_API_KEY=…\n\`\`\``;
}

function table({ table: [head = ['', ''], ...rows] }: Phrases): string {
  const line = ([left, right]: readonly [string, string]): string => `| ${left} | ${right} |`;
  return [line(head), '| --- | --- |', ...rows.map(line)].join('\n');
}
