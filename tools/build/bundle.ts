import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { parseSync } from 'rolldown/utils';
import { ROOT } from '#process/root.js';

/** The parts of a program that are files of their own, beside it. */
const apart = [
  { name: 'traces-apart', id: /^#telemetry\/traces-sdk\.js$/, file: './traces.js' },
  { name: 'proxy-apart', id: /^\.\/through-proxy\.js$/, file: './proxy.js' },
  { name: 'mcp-apart', id: /^\.\/mcp-sdk\.js$/, file: './mcp.js' },
  { name: 'bedrock-apart', id: /^\.\/bedrock-sdk\.js$/, file: './bedrock.js' },
  { name: 'vertex-apart', id: /^\.\/vertex-sdk\.js$/, file: './vertex.js' },
].map(({ name, id, file }) => ({
  name,
  resolveId: { filter: { id }, handler: () => ({ id: file, external: true }) },
}));

/**
 * Answers @nestjs/typeorm's look for two exports that TypeORM 1 no longer has. Otherwise it would load a second TypeORM from
 * `node_modules`.
 */
const withoutSecondTypeorm = {
  name: 'without-second-typeorm',
  transform: {
    filter: { id: /@nestjs\/typeorm\/dist\/common\/typeorm-compat\.js$/ },
    handler: (code: string): string => code.replace("require('typeorm')", '{}'),
  },
};

/**
 * Answers pg's look for Cloudflare's runtime. Otherwise Node 20 would load its `fetch` for it, which is a twentieth of a start.
 */
const withoutCloudflare = {
  name: 'without-cloudflare',
  transform: {
    filter: { id: /node_modules\/pg\/lib\/stream\.js$/ },
    handler: (code: string): string => code.replace('if (isCloudflareRuntime())', 'if (false)'),
  },
};

/**
 * What libraries load at their start and no program here uses: TypeORM's drivers for other databases, and the telephone numbers of all
 * countries for a check of class-validator. They are a seventh of a program and a tenth of its start. Also a second `fetch` of Google's
 * library, which has ours: a quarter of its bundle. To use a part, take it out of this list.
 */
const withoutUnused = {
  name: 'without-unused',
  resolveId: {
    filter: {
      id: [/^\.\/(?!postgres\/)[\w-]+\/\w+Driver$/, /^libphonenumber-js\/max$/, /^(?:node-fetch|https-proxy-agent)$/],
    },
    handler: (id: string, importer: string | undefined): string | undefined =>
      /typeorm\/driver\/DriverFactory\.js$|class-validator\/|gaxios\//.test(importer ?? '')
        ? `\0unused:${id}`
        : undefined,
  },
  load: { filter: { id: /^\0unused:/ }, handler: (): string => 'module.exports = {};' },
};

/**
 * The program whose first module is `input`, with all that it needs, as one CommonJS module for `launch.ts`. V8's code cache needs
 * CommonJS, so no module may `await` at its top. Names and lines stay, so that stack traces are readable.
 */
export async function bundle(input: string): Promise<{ code: string; exports: readonly string[] }> {
  const bundle = await rolldown({
    cwd: ROOT,
    input: join(ROOT, input),
    platform: 'node',
    plugins: [withoutSecondTypeorm, withoutCloudflare, withoutUnused, ...apart],
    onLog: (level, log, report) => {
      // An optional package that is not installed. The program asks for it at run time, as it would without a bundle.
      if (log.code === 'UNRESOLVED_IMPORT' && log.id?.includes('node_modules')) return;
      report(level === 'warn' ? 'error' : level, log);
    },
  });
  const { output } = await bundle.generate({
    format: 'cjs',
    strict: true,
    codeSplitting: false,
    comments: { legal: true, annotation: false, jsdoc: false },
    minify: {
      compress: false,
      mangle: false,
      // V8 keeps ASCII text in one byte per character. One other letter makes it two.
      codegen: { removeWhitespace: false, asciiOnly: true, legalComments: 'inline' },
    },
  });
  await bundle.close();
  const { code, exports } = output[0];
  return { code: withOwnImport(code.replace(/\/\*!.*?\*\//gs, inAscii)), exports };
}

/** A legal comment in ASCII. Only these comments still have other letters, as in authors' names. */
function inAscii(comment: string): string {
  // eslint-disable-next-line no-control-regex -- all that is not ASCII
  return comment.replace(/[^\x00-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Replaces `import()` by a function of `launch.ts`: Node 20 forgets how a script with a code cache imports. */
function withOwnImport(code: string): string {
  const { errors, module } = parseSync('bundle.cjs', code);
  if (errors[0]) throw new Error(errors[0].message);
  let result = '';
  let end = 0;
  for (const { start } of module.dynamicImports) {
    result += `${code.slice(end, start)}__import`;
    end = start + 'import'.length;
  }
  return result + code.slice(end);
}
