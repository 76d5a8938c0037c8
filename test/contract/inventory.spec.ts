import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { readSettings } from '#settings/settings.js';
import { createApp } from '../../apps/api/src/create-app.js';
import { contract } from '../support/client.js';
import { freshDatabase } from '../support/database.js';

/** The routes that the API has besides the contract's: those of its pages. */
const BESIDE = [
  'GET /',
  'GET /assets/*',
  'GET /openapi.yaml',
  'GET /client.tgz',
  'GET /docs',
  'GET /docs/*',
  'POST /playground/token',
  // Preflights, for pages of other origins.
  'OPTIONS *',
];

describe('the API', () => {
  let database: Awaited<ReturnType<typeof freshDatabase>>;
  let dataDir: string;
  let app: NestFastifyApplication;
  let served: string[];
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-inventory-'));
    database = await freshDatabase();
    const settings = readSettings('api', {
      DATABASE_URL: database.url,
      LOG_LEVEL: 'silent',
      CORS_ORIGINS: 'https://app.example.com',
      DATA_DIR: dataDir,
    });
    app = await createApp(settings);
    await app.init();
    served = routesOf(app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false }));
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('serves only the operations of the contract, and what its pages need', () => {
    const promised = contract.operations.map(({ method, path }) => `${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`);
    const known = [...promised, ...BESIDE];
    const beside = served.filter((route) => !known.some((one) => covers(one, route)));
    expect(beside).toEqual([]);
    expect(promised.filter((route) => !served.includes(route))).toEqual([]);
    expect(promised.length).toBeGreaterThan(20);
  });
});

/** `/assets/*` stands for all files directly below it. */
function covers(known: string, route: string): boolean {
  return known.endsWith('/*') && !route.endsWith('*')
    ? /^[^/]*$/.test(route.slice(known.length - 1)) && route.startsWith(known.slice(0, -1))
    : known === route;
}

/** Methods and paths, from Fastify's printed routes. HEAD comes with GET, and a star is printed without the slash before it. */
function routesOf(drawing: string): string[] {
  const path: string[] = [];
  return drawing
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] =
        /^([\s│]*(?:├── |└── )?)(.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
      if (part === '') return [];
      path.splice(indent.length / 4 - 1, Infinity, part);
      return methods === ''
        ? []
        : methods.split(', ').map((method) => `${method} ${path.join('').replace(/(\w)\*$/, '$1/*')}`);
    })
    .filter((route) => !route.startsWith('HEAD '));
}
