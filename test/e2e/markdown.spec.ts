import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const BUNDLER = 'node_modules/rolldown/bin/cli.mjs';

interface Token {
  readonly type: string;
  readonly content: string;
  readonly children: readonly Token[] | null;
  readonly attrs: readonly [string, string][] | null;
}
interface Block {
  readonly tokens: readonly Token[];
}
interface Modules {
  readonly blocksOf: (text: string) => Block[];
  readonly GrowingMarkdown: new () => { update(text: string): readonly (readonly Block[])[] };
}

/** A model's text, with everything that this parser knows. */
const REPLY = `# Reinstall **everything**

To reinstall, run \`npm ci\`, *not* \`npm install\`; **use \`--force\` _only_ if you must**. See [the *manual*](https://example.com/a_b?c=1 "The manual"), <https://example.com/x> or https://example.com/y_z_.

1. **Save** your data:
   - the \`config\` file, and a[0] of it
   - [ ] whatever *else* there is
2. Remove it & \`rm -rf\` the rest

   \`\`\`sh
   # not a heading
   rm -rf "$HOME/.cache" && echo '**done**'
   \`\`\`

3. ~~Wait~~ Go on

| Step | Command | Why |
|:-----|--------:|-----|
| 1 | \`a \\| b\` | **first** |
| 2 | none | 12.5 % &amp; more |

> A quote, *with* emphasis
> and another line

---

\`\`\`ts
const a = \`x\${1}\`;

- not a list
\`\`\`

Snake_case_words and 2 * 3 * 4 < 30 stay.
2026 was a year. ![a picture](https://example.com/p.png) And the **end**.
`;

describe('Markdown that is still being written', () => {
  let modules: Modules;
  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rejoinder-markdown-'));
    const inputs = ['growing', 'parser'].map((name) => `apps/playground/src/markdown/${name}.ts`);
    await promisify(execFile)(process.execPath, [BUNDLER, ...inputs, '--dir', directory]);
    const load = (name: string): Promise<object> => import(pathToFileURL(join(directory, `${name}.js`)).href);
    modules = { ...(await load('growing')), ...(await load('parser')) } as Modules;
    await rm(directory, { recursive: true });
  });

  const written = (text: string, cuts: readonly number[]): readonly Block[] => {
    const growing = new modules.GrowingMarkdown();
    for (const cut of cuts) growing.update(text.slice(0, cut));
    return growing.update(text).flat();
  };
  /** The reader's view: words and their elements. A link's address may come later, because that moves nothing. */
  const outline = (blocks: readonly Block[]): string =>
    blocks
      .flatMap(({ tokens }) => tokens)
      .flatMap((token) => token.children ?? [token])
      .map(({ type, content }) =>
        content !== ''
          ? content
          : type === 'softbreak'
            ? '\n'
            : type.endsWith('_open') && type !== 'link_open'
              ? `<${type}>`
              : '',
      )
      .join('')
      .trimEnd()
      // Cells whose words are still to come.
      .replace(/(<td_open>)+$/, '');

  it('never takes back what it has shown', () => {
    const whole = outline(modules.blocksOf(REPLY));
    const growing = new modules.GrowingMarkdown();
    for (let length = 1; length <= REPLY.length; length++) {
      const seen = outline(growing.update(REPLY.slice(0, length)).flat());
      if (!whole.startsWith(seen))
        throw new Error(
          `after ${JSON.stringify(REPLY.slice(Math.max(0, length - 40), length))}: ${JSON.stringify(seen.slice(-80))}`,
        );
    }
    expect(outline(growing.update(`${REPLY}\n\nend`).flat())).toBe(`${whole}<paragraph_open>end`);
  });

  it('loses no text that is nested too deep to be drawn', () => {
    for (const marker of ['> ', '- ', '**a *b ', '[']) {
      const text = `${marker.repeat(2_000)}the end\n\nend\n\nend`;
      expect(outline(modules.blocksOf(text))).toContain('the end');
      expect(outline(written(text, [text.length - 1]))).toContain('the end');
    }
  });

  it('parses and draws only the end: earlier blocks stay the same objects', () => {
    const growing = new modules.GrowingMarkdown();
    const long = REPLY.repeat(100);
    const before = [...growing.update(long)];
    const begun = performance.now();
    for (let n = 1; n <= 200; n++) growing.update(`${long}And ${'more '.repeat(n)}`);
    const after = growing.update(`${long}And ${'more '.repeat(200)}the end`);
    expect(after.length).toBeGreaterThan(20);
    // The same objects, not only equal ones: a new object would be drawn again.
    expect(after.slice(0, -2).every((group, n) => group === before[n])).toBe(true);
    // Parsing all of it 200 times takes ten seconds.
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('ends with the same blocks as a text that is parsed at once', () => {
    const pieces = [
      '# ',
      '- ',
      '1. ',
      '> ',
      '```',
      '\n',
      '\n\n',
      '    ',
      '| a | b |\n',
      '|---|---|\n',
      '**',
      '*',
      '_',
      '`',
      '[a]',
      '(b)',
      '[a]: /c\n',
      '---',
      'word',
      ' ',
      '\r\n',
      '~~~',
      '\\',
      '<b>',
      '=',
      '+ ',
      '\t',
    ];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...pieces), { maxLength: 40 }),
        fc.array(fc.nat(200), { maxLength: 20 }),
        (parts, cuts) => {
          const text = `${parts.join('')}\n\nend\n\nend`;
          const inOrder = cuts.filter((cut) => cut < text.length).sort((a, b) => a - b);
          // A name may be defined after its use.
          const withoutNames = text.replaceAll('[a]: /c', 'x');
          expect(outline(written(withoutNames, inOrder))).toBe(outline(modules.blocksOf(withoutNames)));
          written(text, inOrder);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
