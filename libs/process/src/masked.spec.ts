import { describe, expect, it } from '@jest/globals';
import { readSettings } from '#settings/settings.js';
import { masked } from './masked.js';
import { asText } from './text-line.js';

describe('a line of the log', () => {
  const env = {
    DATABASE_URL: 'postgres://me:pass%2Fword@host/db',
    REDIS_URL: 'redis://:queue-password@host',
    JWT_SECRET: 'a secret "of" thirty-two bytes, or more',
    ANTHROPIC_API_KEY: 'sk-model-key',
    HTTPS_PROXY: 'http://me:proxy%2Fpass@proxy',
  };
  // Each app reads its own secrets only.
  const mask = masked({ ...readSettings('api', env), model: readSettings('worker', env).model });

  it('has a mask where a token or one of the settings’ secrets would be', () => {
    const text =
      'pass%2Fword pass/word queue-password sk-model-key proxy%2Fpass proxy/pass eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_ fine';
    expect(mask(text)).toBe('*** *** *** *** *** *** *** fine');
    expect(mask(JSON.stringify({ msg: 'a secret "of" thirty-two bytes, or more' }))).toBe('{"msg":"***"}');
  });

  it('has a mask where the key of another provider, or its proxy’s password, would be', () => {
    const bedrock = {
      ...env,
      MODEL_PROVIDER: 'bedrock',
      AWS_REGION: 'eu-west-1',
      AWS_BEARER_TOKEN_BEDROCK: 'bedrock-key',
      NO_PROXY: '.eu-west-1.amazonaws.com',
    };
    const { model } = readSettings('worker', bedrock);
    const masks = masked({ ...readSettings('api', env), model });
    expect(masks('bedrock-key proxy%2Fpass fine')).toBe('*** *** fine');
  });

  it.each([
    ['an address without a host', { DATABASE_URL: 'postgres://me:hush%25hush@/db?host=/socket' }, 'hush%hush'],
    ['a parameter', { DATABASE_URL: 'postgres://me@host/db?password=hush-hush' }, 'hush-hush'],
    ['several hosts', { REDIS_URL: 'redis+cluster://me:hush-hush@a:7000,b:7000' }, 'hush-hush'],
    [
      'Sentinels',
      { REDIS_URL: 'redis+sentinel://a,b/primary?sentinel_username=me&sentinel_password=hush-hush' },
      'hush-hush',
    ],
  ])('has a mask where the password of %s would be', (_, settings, password) => {
    const masks = masked(readSettings('api', { ...env, ...settings }));
    expect(masks(`it is ${password}, in an address`)).toBe('it is ***, in an address');
  });

  it('is one to read outside production: when, how bad, where, what, and an error below it', () => {
    const line = {
      time: '2026-01-02T03:04:05.678Z',
      level: 'warn',
      app: 'api',
      context: 'http',
      msg: 'refused',
      status: 500,
    };
    expect(asText(JSON.stringify(line))).toBe('03:04:05.678 WARN  [http] refused status=500\n');
    const forged = asText(
      JSON.stringify({ ...line, msg: 'a\r\nb', status: '\x1b[2J\x9b\u202e', error: { type: '\x07' } }),
    );
    expect(forged).toBe(
      '03:04:05.678 WARN  [http] a\\u000d\\u000ab status=\\u001b[2J\\u009b\\u202e\n      type=\\u0007\n',
    );
    const error = { type: 'E', stack: '    at f (x.js:1:2)', cause: { type: 'C', code: '1' } };
    expect(asText(JSON.stringify({ ...line, error }))).toBe(
      '03:04:05.678 WARN  [http] refused status=500\n      type=E\n    at f (x.js:1:2)\n      type=C code=1\n',
    );
  });
});
