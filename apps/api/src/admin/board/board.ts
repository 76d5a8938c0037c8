import { readdir, readFile } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type {
  AppControllerRoute,
  AppViewRoute,
  BullBoardQueues,
  ControllerHandlerReturnType,
  IServerAdapter,
  UIConfig,
} from '@bull-board/api/typings/app';
import type { Queue } from 'bullmq';
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import { ROOT } from '#process/root.js';
import { within } from '#process/within.js';
import { BOARD_PREFIX } from '../../http/hidden.js';

/** The page's files. They are read from where they were installed: no bundle holds them. */
const UI = join(ROOT, 'node_modules/@bull-board/ui');

/** How long the queue's store may take to tell what the board asks, in milliseconds. */
const LONGEST_QUESTION_MS = 5_000;

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json; charset=utf-8',
};

/** Bull Board makes the addresses of its questions of what `<base>` says, so it must say a whole path; a browser knows which. */
const BASE_FILE = 'base.js';
const BASE_SCRIPT = `document.querySelector('base').setAttribute('href', new URL('.', document.currentScript.src).pathname);\n`;

export interface BoardAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly cacheControl?: string;
}

interface Address {
  readonly pattern: RegExp;
  readonly route: AppControllerRoute;
}

/** Bull Board's end of a web server, of which it finds what may be looked at: what changes something is left out. */
export class Board implements IServerAdapter {
  private queues: BullBoardQueues = new Map();
  private config: UIConfig = {};
  private entry: AppViewRoute | undefined;
  private pages: RegExp[] = [];
  private addresses: Address[] = [];

  private constructor(
    private readonly template: string,
    /** By their paths, below the board's own. */
    private readonly files: ReadonlySet<string>,
  ) {}

  /** @throws Error when the page's files are not installed */
  static async of(queue: Queue): Promise<Board> {
    const template = await readFile(join(UI, 'dist/index.ejs'), 'utf8');
    const names = await readdir(join(UI, 'dist/static'), { recursive: true });
    const board = new Board(template, new Set(names.map((name) => `/static/${name.split(sep).join('/')}`)));
    createBullBoard({
      queues: [
        new BullMQAdapter(queue, {
          readOnlyMode: true,
          allowRetries: false,
          description: 'Tickets that deliver jobs. What becomes of a job is decided by its row: /api/v1/admin/jobs.',
        }),
      ],
      serverAdapter: board,
      options: {
        uiBasePath: UI,
        uiConfig: { boardTitle: 'Rejoinder', hideDocsLink: true, pollingInterval: { showSetting: true } },
      },
    });
    return board;
  }

  /** What is at a path below the board's own. `undefined` when there is nothing. @throws ServiceError `unavailable` */
  async answer(path: string, request: FastifyRequest): Promise<BoardAnswer | undefined> {
    if (this.files.has(path) && extname(path) in TYPES) return file(path);
    if (path === `/${BASE_FILE}`) return { status: 200, type: TYPES['.js'] ?? '', body: BASE_SCRIPT };
    if (this.pages.some((page) => page.test(path))) return this.page(topFrom(request));
    for (const { pattern, route } of this.addresses) {
      const match = pattern.exec(path);
      if (match === null) continue;
      const params = Object.fromEntries(
        Object.entries(match.groups ?? {}).map(([name, text]) => [name, decoded(text)]),
      );
      return this.ask(route, params, request.query as Record<string, unknown>);
    }
    return undefined;
  }

  private async ask(
    route: AppControllerRoute,
    params: Record<string, string>,
    query: Record<string, unknown>,
  ): Promise<BoardAnswer> {
    const asked = { queues: this.queues, uiConfig: this.config, query, params, body: {}, headers: {} };
    const answer = (async () => route.handler(asked))();
    const told = await within<ControllerHandlerReturnType | undefined>(LONGEST_QUESTION_MS, answer, undefined);
    if (told === undefined) {
      throw new ServiceError('unavailable', 'The queue does not answer.', { headers: { 'retry-after': '5' } });
    }
    return {
      status: told.status ?? 200,
      type: 'application/json; charset=utf-8',
      body: JSON.stringify(told.body),
    };
  }

  /** Without the font of another site, and without what is shown until the scripts are there: both are against our policy. */
  private page(top: string): BoardAnswer | undefined {
    const view = this.entry?.handler({ basePath: top, uiConfig: this.config });
    if (view === undefined) return undefined;
    const body = this.template
      .replace(/<link href="https:[^>]*>/g, '')
      .replace(/<div id="root">[\s\S]*<\/div>/, '<div id="root"></div>')
      .replace(/<%[=-] (\w+) %>/g, (_, name: string) => view.params[name] ?? '')
      .replace(/<base [^>]*>/, (base) => `${base}<script src="${BASE_FILE}"></script>`);
    return { status: 200, type: 'text/html; charset=utf-8', body };
  }

  setQueues(queues: BullBoardQueues): this {
    this.queues = queues;
    return this;
  }

  setUIConfig(config: UIConfig): this {
    this.config = config;
    return this;
  }

  setEntryRoute(entry: AppViewRoute): this {
    this.entry = entry;
    this.pages = [entry.route].flat().map(pathPattern);
    return this;
  }

  setApiRoutes(routes: AppControllerRoute[]): this {
    this.addresses = routes
      .filter(({ method }) => [method].flat().includes('get'))
      .flatMap((route) => [route.route].flat().map((path) => ({ path, route })))
      // Of two that fit, the one that says more.
      .sort((a, b) => places(a.path) - places(b.path))
      .map(({ path, route }) => ({ pattern: pathPattern(path), route }));
    return this;
  }

  /** Files are found by {@link Board.of}, and errors are the service's own. */
  setViewsPath(): this {
    return this;
  }

  setStaticPath(): this {
    return this;
  }

  setErrorHandler(): this {
    return this;
  }
}

/** The board's top, as a page of it finds it from its own address: a proxy may serve it below a path that is not known here. */
function topFrom({ url }: FastifyRequest): string {
  const path = url.split('?', 1)[0] ?? '';
  const depth = path.slice(BOARD_PREFIX.length).split('/').length - 1;
  if (depth === 0) return `${BOARD_PREFIX.split('/').at(-1)}/`;
  return '../'.repeat(depth - 1) || './';
}

async function file(path: string): Promise<BoardAnswer> {
  const type = TYPES[extname(path)] ?? '';
  return { status: 200, type, body: await readFile(join(UI, 'dist', path)), cacheControl: 'private, max-age=3600' };
}

const places = (path: string): number => path.split(':').length;

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
}

/** What cannot be decoded names nothing. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
