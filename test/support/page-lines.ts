import { readFile } from 'node:fs/promises';

/** The lines of code that a page shows below a heading. @throws Error when there are none */
export async function linesUnder(page: string, heading: string): Promise<string> {
  const [, section = ''] = `\n${await readFile(page, 'utf8')}`.split(`\n## ${heading}\n`);
  const [, lines] = /^[^#]*?\n```\w+\n(.*?)\n```\n/s.exec(`\n${section}`) ?? [];
  if (lines === undefined) throw new Error(`${page} has no lines under "${heading}".`);
  return lines;
}
