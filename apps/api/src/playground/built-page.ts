import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '#process/root.js';
import { etagOf } from '../http/etag.js';

/** Where `npm run build` puts the page. */
export const BUILT = pathToFileURL(join(ROOT, 'dist/apps/playground/'));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** A file of the page, as it is sent. */
export interface PageFile {
  /** The file's address, as a path. */
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/** The page as it was built. */
export interface BuiltPage {
  readonly html: string;
  /** The files that the page loads. Their names contain a hash of their content. */
  readonly assets: readonly PageFile[];
}

/** Reads the page in `directory`. It is small enough to be kept in memory. Undefined: the page was not built. */
export async function readBuiltPage(directory: URL): Promise<BuiltPage | undefined> {
  try {
    const html = await readFile(new URL('index.html', directory), 'utf8');
    const names = await readdir(new URL('assets/', directory));
    const assets = names.map(async (name) =>
      pageFile(`/assets/${name}`, await readFile(new URL(`assets/${name}`, directory))),
    );
    return { html, assets: await Promise.all(assets) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** A file, with the type of its address and the validator of its bytes. */
export function pageFile(path: string, body: Buffer): PageFile {
  return { path, type: TYPES[extname(path)] ?? 'application/octet-stream', body, etag: etagOf(body) };
}
