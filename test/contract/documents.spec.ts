import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { ROOT } from '#process/root.js';

const PAGES = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: ROOT })
  .toString()
  .trim()
  .split('\n')
  .filter((page) => existsSync(join(ROOT, page)));

const read = (page: string): string => readFileSync(join(ROOT, page), 'utf8');
/** Without code blocks, which are not Markdown. */
const prose = (page: string): string => read(page).replace(/^```[\s\S]*?^```/gm, '');

/** The anchors that GitHub makes of a page's headings. */
function anchors(page: string): Set<string> {
  const headings = prose(page).match(/^#+ .*$/gm) ?? [];
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/^#+ /, '')
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .toLowerCase()
        .replaceAll(' ', '-'),
    ),
  );
}

/** The shell commands between the marks of a conversation. */
function shellBlocks(page: string): string[] {
  const [, flow = ''] = /<!-- flow: begin -->([\s\S]*)<!-- flow: end -->/.exec(read(page)) ?? [];
  return [...flow.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
}

describe('the documents', () => {
  it('link to existing files and headings', () => {
    const broken = PAGES.flatMap((page) =>
      [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
        if (/^(?:https?:|mailto:)/.test(link)) return [];
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
        const found =
          existsSync(join(ROOT, target)) &&
          (anchor === undefined || !target.endsWith('.md') || anchors(target).has(anchor));
        return found ? [] : [`${page}: ${link}`];
      }),
    );
    expect(PAGES.length).toBeGreaterThan(60);
    expect(broken).toEqual([]);
  });

  it('begin with two pages of five minutes each', () => {
    for (const page of ['README.md', 'ARCHITECTURE.md'])
      expect([page, read(page).split('\n').length <= 121]).toEqual([page, true]);
  });

  it('have only shell commands of the tour in the README, which the tests of `npm start` run', () => {
    const tour = shellBlocks('docs/tour.md');
    const blocks = shellBlocks('README.md');
    expect(blocks.length).toBeGreaterThan(2);
    for (const block of blocks) expect(tour).toContain(block);
  });

  it('list every decision', () => {
    const listed = [...read('docs/decisions/README.md').matchAll(/\]\((\d{4}-[^)]+)\)/g)].map(([, file]) => file);
    const there = PAGES.filter((page) => /^docs\/decisions\/\d/.test(page)).map((page) =>
      page.slice('docs/decisions/'.length),
    );
    expect(listed).toEqual(there.sort());
  });
});
