import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { fastify } from 'fastify';
import { readSettings } from '#settings/settings.js';
import { servePlayground } from './playground.js';

describe('the playground, where it was not built', () => {
  it('keeps the service from nothing; / says what is missing', async () => {
    Logger.overrideLogger(false);
    const app = fastify();
    const settings = readSettings('api', {
      DATABASE_URL: 'postgres://nowhere',
      JWT_SECRET: 'x'.repeat(32),
      LOG_LEVEL: 'silent',
    });
    await servePlayground(app, settings, new URL('nowhere/', import.meta.url));
    const answer = await app.inject('/');
    expect([answer.statusCode, answer.json<{ message: string }>().message]).toEqual([
      404,
      expect.stringContaining('npm run build'),
    ]);
    expect((await app.inject('/assets/index.js')).statusCode).toBe(404);
    await app.close();
  });
});
