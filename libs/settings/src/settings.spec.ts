import { describe, expect, it } from '@jest/globals';
import { type Program, readSettings, type SettingsError } from './settings.js';

const SECRET = 'Zx0o1cT5mVb8Qe7Lr2Wf9Kd4Hs6Ny3Ua';

const enough = {
  DATABASE_URL: 'postgres://localhost/db',
  JWT_SECRET: SECRET,
  ANTHROPIC_API_KEY: 'key',
};

const faultsOf = (app: Program, env: NodeJS.ProcessEnv): readonly string[] => {
  try {
    readSettings(app, env);
    return [];
  } catch (error) {
    return (error as SettingsError).faults;
  }
};

describe('settings', () => {
  it('have defaults for all but what only the operator can know', () => {
    expect(readSettings('api', enough)).toEqual({
      production: false,
      port: 3000,
      workerPort: 3001,
      metricsPort: undefined,
      host: '127.0.0.1',
      maxConnections: 12_000,
      keepAliveMs: 95_000,
      longestWaitSeconds: 55,
      logLevel: 'info',
      logFormat: 'text',
      traces: false,
      database: { url: 'postgres://localhost/db', poolSize: 10 },
      redisUrl: undefined,
      jwt: { secret: SECRET, development: false, jwksUri: undefined, issuer: undefined, audience: undefined },
      corsOrigins: [],
      corsLocalhost: true,
      playground: true,
      assistantsFile: 'assistants.yaml',
      model: {
        provider: { name: 'anthropic' },
        apiKey: undefined,
        baseUrl: undefined,
        authHeader: 'authorization',
        proxy: undefined,
        credentialsProxy: undefined,
        idleMs: 60_000,
        totalMs: 600_000,
      },
      tools: { secrets: [], callsAtOnce: 64, example: true },
      workerConcurrency: 50,
      workerDrainMs: 8_000,
      limits: {
        turnsPerMinute: 60,
        unfinishedTurns: 20,
        openStreams: 50,
        tokensPerDay: undefined,
        costPerDay: undefined,
        allUnfinishedTurns: 10_000,
      },
    });
  });

  it('limit nothing where a limit is 0', () => {
    const none = {
      USER_TURNS_PER_MINUTE: '0',
      USER_UNFINISHED_TURNS: '0',
      USER_OPEN_STREAMS: '0',
      UNFINISHED_TURNS: '0',
    };
    expect(Object.values(readSettings('api', { ...enough, ...none }).limits)).toEqual(Array(6).fill(undefined));
  });

  it('listen on every interface in production, and only there', () => {
    expect(readSettings('api', { ...enough, NODE_ENV: 'production' }).host).toBe('0.0.0.0');
  });

  it('offer the playground outside production, and in production only when told to', () => {
    const production = { ...enough, NODE_ENV: 'production' };
    expect(readSettings('api', { ...enough, PLAYGROUND: 'off' }).playground).toBe(false);
    expect(readSettings('api', production).playground).toBe(false);
    expect(readSettings('api', { ...production, PLAYGROUND: 'on' }).playground).toBe(true);
  });

  it('give a worker that stops the time of a usual reply in production, and elsewhere a short one', () => {
    expect(readSettings('worker', { ...enough, NODE_ENV: 'production' }).workerDrainMs).toBe(120_000);
    expect(readSettings('worker', { ...enough, WORKER_DRAIN_SECONDS: '0' }).workerDrainMs).toBe(0);
  });

  it('serve the API’s metrics in production, and elsewhere where it is said', () => {
    const production = { ...enough, NODE_ENV: 'production' };
    expect(readSettings('api', production)).toMatchObject({ metricsPort: 3002, logFormat: 'json' });
    expect(readSettings('api', { ...production, METRICS_PORT: 'off' }).metricsPort).toBeUndefined();
    expect(readSettings('api', { ...enough, METRICS_PORT: '0' }).metricsPort).toBe(0);
  });

  it('keep traces when OpenTelemetry’s variables say where to send them, and none say not to', () => {
    const collector = { ...enough, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
    expect(readSettings('api', collector).traces).toBe(true);
    expect(readSettings('api', { ...collector, OTEL_SDK_DISABLED: 'true' }).traces).toBe(false);
    expect(readSettings('api', { ...collector, OTEL_TRACES_EXPORTER: 'none' }).traces).toBe(false);
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['WORKER_PORT', '3001.5'],
    ['DATABASE_POOL_SIZE', '1'],
    ['WORKER_CONCURRENCY', '0'],
    ['USER_TURNS_PER_MINUTE', '-1'],
    ['USER_TOKENS_PER_DAY', '1e6'],
    ['USER_COST_PER_DAY', '1e6'],
    ['USER_COST_PER_DAY', '-0.5'],
    ['USER_COST_PER_DAY', '2,50'],
    ['USER_COST_PER_DAY', '$2'],
    ['LOG_LEVEL', 'loud'],
    ['LOG_FORMAT', 'xml'],
    ['METRICS_PORT', 'on'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317'],
    ['PLAYGROUND', 'yes'],
    ['NODE_ENV', 'prod'],
    ['DATABASE_URL', 'mysql://localhost/db'],
    ['REDIS_URL', 'localhost:6379'],
    ['ANTHROPIC_BASE_URL', 'ftp://api.anthropic.com'],
    ['ANTHROPIC_AUTH_HEADER', 'both'],
    ['JWT_SECRET', 'short'],
    ['TOOLS_SECRET', 'whsec_short'],
    ['TOOLS_EXAMPLE', 'yes'],
    ['TOOL_CALLS_AT_ONCE', '0'],
    ['TOOL_CALLS_AT_ONCE', '1001'],
  ])('%s=%s is refused by name', (name, value) => {
    const faults = faultsOf('start', { ...enough, [name]: value });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(name);
  });

  it('tell every fault at once', () => {
    expect(faultsOf('api', { PORT: 'x', LOG_LEVEL: 'y', NODE_ENV: 'production' })).toHaveLength(4);
  });

  it('never repeat a password', () => {
    expect(faultsOf('api', { ...enough, REDIS_URL: 'http://:hunter2@redis' }).join()).not.toContain('hunter2');
  });

  it('of others do not stop a program, whatever they are', () => {
    const link = 'tcp://10.0.0.1:80';
    const others = {
      WORKER_PORT: link,
      WORKER_CONCURRENCY: link,
      MODEL_IDLE_SECONDS: link,
      ANTHROPIC_BASE_URL: 'ftp://x',
    };
    const ofApi = { PORT: link, METRICS_PORT: link, JWT_SECRET: 'short', CORS_ORIGINS: '*', USER_OPEN_STREAMS: link };
    expect(faultsOf('api', { ...enough, ...others })).toEqual([]);
    expect(faultsOf('worker', { ...enough, ...ofApi })).toEqual([]);
    expect(faultsOf('migrate', { ...others, ...ofApi, ...enough, HOST: link, LOG_LEVEL: link })).toEqual([]);
    expect(faultsOf('start', { ...enough, ...others, ...ofApi })).toHaveLength(9);
    expect(readSettings('api', { ...enough, WORKER_PORT: '1' }).workerPort).toBe(3001);
  });

  it('demand of each app only what it uses: a secret of the API, a model of the worker', () => {
    const { JWT_SECRET: _secret, ...withoutSecret } = enough;
    const { ANTHROPIC_API_KEY: _key, ...withoutKey } = enough;
    expect(faultsOf('worker', { ...withoutSecret, NODE_ENV: 'production' })).toEqual([]);
    expect(faultsOf('api', { ...withoutKey, NODE_ENV: 'production' })).toEqual([]);
    expect(faultsOf('api', { ...withoutSecret, NODE_ENV: 'production' })[0]).toContain('JWT_SECRET');
    expect(faultsOf('api', { ...withoutSecret, NODE_ENV: 'production', JWT_JWKS_URI: 'https://id.example' })).toEqual(
      [],
    );
    expect(faultsOf('worker', withoutKey)[0]).toContain('ANTHROPIC_API_KEY');
    expect(faultsOf('worker', { ...withoutKey, ANTHROPIC_BASE_URL: 'http://localhost:9' })).toEqual([]);
    expect(faultsOf('worker', { ...withoutKey, ANTHROPIC_BASE_URL: 'ftp://host' })).toHaveLength(1);
    expect(faultsOf('worker', { ...enough, HTTPS_PROXY: 'socks5://proxy' })[0]).toContain('HTTPS_PROXY');
    expect(faultsOf('api', { ...enough, HTTPS_PROXY: 'socks5://proxy' })).toEqual([]);
  });

  it('give the worker the way to the model: address, header of the key, proxy', () => {
    const env = { ANTHROPIC_BASE_URL: 'gw.example/v1/', ANTHROPIC_AUTH_HEADER: 'X-Api-Key', https_proxy: 'proxy:3128' };
    expect(readSettings('worker', { ...enough, ...env }).model).toMatchObject({
      baseUrl: 'https://gw.example',
      authHeader: 'x-api-key',
      proxy: { name: 'https_proxy', url: 'http://proxy:3128' },
    });
    expect(readSettings('worker', { ...enough, ...env, NO_PROXY: '.example' }).model.proxy).toBeUndefined();
    const { ANTHROPIC_BASE_URL: _address, ...withoutAddress } = env;
    expect(readSettings('worker', { ...enough, ...withoutAddress }).model.proxy).toBeDefined();
  });

  it('refuse a key that no header can carry, and do not repeat it', () => {
    const faults = faultsOf('worker', { ...enough, ANTHROPIC_API_KEY: '“sk-hush”' });
    expect(faults).toEqual([expect.stringMatching(/^ANTHROPIC_API_KEY (?!.*hush)/)]);
  });

  it('treat an empty variable as one that is not set', () => {
    expect(readSettings('api', { ...enough, PORT: '', REDIS_URL: ' ' })).toMatchObject({
      port: 3000,
      redisUrl: undefined,
    });
  });
});
