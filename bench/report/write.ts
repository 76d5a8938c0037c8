import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '#process/root.js';
import { asJson } from './json.js';
import { asPicture } from './picture.js';
import type { Report } from './report.js';
import { asMarkdown } from './table.js';

/** `npm run bench -- --docs` replaces what is between these lines of the page. */
const BEGIN = '<!-- bench: begin -->';
const END = '<!-- bench: end -->';

const PAGE = join(ROOT, 'docs/performance.md');
const PICTURE = join(ROOT, 'docs/performance/picture.svg');

/** Writes `report.json` and `picture.svg` into a directory, and makes the directory if there is none. @returns their paths */
export async function writeReport(report: Report, directory: string): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  const files = { 'report.json': asJson(report), 'picture.svg': asPicture(report) };
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  return Object.keys(files).map((name) => join(directory, name));
}

/** Replaces the tables and the picture of docs/performance.md. @returns the files' paths @throws Error when the page has lost its marks */
export async function writeDocs(report: Report): Promise<string[]> {
  const [before, , after] = parts(await readFile(PAGE, 'utf8'));
  await writeFile(PICTURE, asPicture(report));
  await writeFile(PAGE, `${before}${BEGIN}\n\n${asMarkdown(report)}\n\n${END}${after}`);
  return [PICTURE, PAGE];
}

function parts(page: string): [string, string, string] {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place for the figures: ${BEGIN} … ${END}.`);
  return [page.slice(0, begin), page.slice(begin, end), page.slice(end + END.length)];
}
