import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SessionClient } from '#database/session-client.js';
import { timeLimit } from '#process/time-limit.js';
import { loadEnvFile, MODEL_ADDRESS, readSettings, type Settings } from '#settings/settings.js';
import { type EmbeddedPostgres, refuseAnothersData, startEmbeddedPostgres } from './embedded-postgres.js';
import { signToken } from './sign-token.js';
import { leaveAddress } from './start/address.js';
import { banner } from './start/banner.js';
import { toolsEnv } from './start/example-tools.js';
import { Parts } from './start/parts.js';
import { plainly } from './start/plainly.js';
import { claimPorts } from './start/ports.js';

/*
 * `npm start`: everything on this machine. It brings the stores and the model that the environment does not name. API and worker are the
 * same programs, started in the same way, as in production.
 */

/** How long the parts may take to become ready, in milliseconds. */
const READY_TIMEOUT_MS = 60_000;

/** How often to check that npm still runs, in milliseconds. */
const PARENT_CHECK_MS = 500;

loadEnvFile();
const began = Date.now();
const setting = (name: string): string | undefined => process.env[name]?.trim() || undefined;
const dataDir = setting('DATA_DIR') ?? '.data';

let postgres: EmbeddedPostgres | undefined;
const parts = new Parts((name, how) => {
  console.error(`${name} ended by itself (${how}); stopping the rest.`);
  void stop(1);
});

let takeAddress = (): void => undefined;
let stopping = false;
/** How long replies under way may go on when all stops, in milliseconds. */
let drainMs = 0;
async function stop(exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  takeAddress();
  await parts.stop(drainMs);
  await postgres?.stop();
  process.exit(exitCode);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping) return parts.kill();
    console.log('\nStopping … (Ctrl-C again stops at once)');
    void stop(0);
  });
}

/*
 * npm passes no signal on to the program that its shell runs, and may be killed itself. Then the shell is gone, which changes this
 * process's parent, or npm above the shell is.
 */
if (process.env['npm_lifecycle_event'] === 'start') {
  const shell = process.ppid;
  const npm = parentOf(shell);
  setInterval(() => {
    if (process.ppid !== shell || parentOf(shell) !== npm) void stop(0);
  }, PARENT_CHECK_MS).unref();
}

/** The parent of another process; undefined where the system does not say. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** The address of the user's database, or of an embedded one. */
async function databaseUrl(): Promise<string> {
  const given = setting('DATABASE_URL');
  if (given !== undefined) return given;
  postgres = await startEmbeddedPostgres({ dataDir, persistent: true });
  void postgres.ended.then(() => {
    if (stopping) return;
    console.error('PostgreSQL ended by itself; stopping the rest.');
    void stop(1);
  });
  const admin = new SessionClient({ connectionString: postgres.url('postgres') });
  await admin.connect();
  const { rowCount } = await admin.query("SELECT FROM pg_database WHERE datname = 'rejoinder'");
  if (rowCount === 0) await admin.query('CREATE DATABASE rejoinder');
  await admin.end();
  return postgres.url('rejoinder');
}

/** Settings that point the worker at the stand-in; none when the environment names a model. */
async function modelSettings({ provider }: Settings['model']): Promise<NodeJS.ProcessEnv> {
  if (provider !== undefined && provider.name !== 'anthropic') return {};
  if (setting('ANTHROPIC_API_KEY') !== undefined || setting('ANTHROPIC_BASE_URL') !== undefined) return {};
  const url = await new Promise<string>((resolve) => {
    parts.start('model', 'apps/model-stub/src/main.js', {}, (line) => {
      const address = /"listening":"([^"]+)"/.exec(line)?.[1];
      if (address === undefined) console.log(`model  │ ${line}`);
      else resolve(address);
    });
  });
  return { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'stand-in' };
}

async function untilReady(urls: readonly string[]): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (const url of urls) {
    for (;;) {
      const ready = await fetch(url, { signal: timeLimit(5_000).signal }).then(
        (response) => response.ok,
        () => false,
      );
      if (ready || stopping) break;
      if (Date.now() > deadline) throw new Error(`${url} did not become ready within ${READY_TIMEOUT_MS / 1000} s.`);
      await sleep(50);
    }
  }
}

async function start(): Promise<void> {
  if (setting('NODE_ENV') === 'production') {
    throw new Error(
      '`npm start` is for development: it prints a token, and may bring a stand-in for the model. ' +
        'In production the parts run one by one: see docs/operations.md.',
    );
  }
  if (setting('DATABASE_URL') === undefined) refuseAnothersData(dataDir);
  // Reports bad settings before anything is started. The database may still be missing.
  const { host, ...settings } = readSettings('start', {
    ...process.env,
    DATABASE_URL: setting('DATABASE_URL') ?? 'postgres://embedded',
  });
  drainMs = settings.workerDrainMs;
  if (settings.port !== 0 && settings.port === settings.workerPort) {
    throw new Error(`PORT and WORKER_PORT are both ${settings.port}. Set one of them to another.`);
  }
  if (settings.metricsPort && [settings.port, settings.workerPort].includes(settings.metricsPort)) {
    throw new Error(`METRICS_PORT is ${settings.metricsPort}, as another port is. Set one of them to another.`);
  }
  const database = { DATABASE_URL: await databaseUrl() };
  const { PORT, WORKER_PORT, METRICS_PORT } = await claimPorts(
    { PORT: settings.port, WORKER_PORT: settings.workerPort, METRICS_PORT: settings.metricsPort },
    host,
  );
  const [model, tools] = await Promise.all([
    modelSettings(settings.model),
    toolsEnv(parts, settings, dataDir, setting('EXAMPLE_TOOLS_URL')),
  ]);
  await parts.run('bin/migrate.js', database);
  if (stopping) return;

  const env = {
    ...database,
    ...tools,
    PORT: String(PORT),
    WORKER_PORT: String(WORKER_PORT),
    METRICS_PORT: METRICS_PORT === undefined ? 'off' : String(METRICS_PORT),
    LOG_LEVEL: setting('LOG_LEVEL') ?? 'warn',
  };
  parts.start('api', 'bin/api.js', env);
  parts.start('worker', 'bin/worker.js', { ...env, ...model });
  const address = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const api = `http://${address}:${PORT}`;
  const worker = `http://${address}:${WORKER_PORT}`;
  await untilReady([`${api}/health/ready`, `${worker}/health/ready`]);
  if (stopping) return;
  takeAddress = leaveAddress(dataDir, api);
  const health = (await (await fetch(`${api}/health/ready`)).json()) as { checks: { queue: string } };

  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  console.log(
    banner({
      version,
      api,
      worker,
      metrics: METRICS_PORT === undefined ? undefined : `http://${address}:${METRICS_PORT}/metrics`,
      playground: settings.playground,
      token: settings.jwt.jwksUri === undefined ? signToken('demo', process.env, { expiresIn: '24h' }) : undefined,
      embeddedData: postgres && (postgres.place.startsWith(resolve(dataDir)) ? dataDir : postgres.place),
      queue: settings.redisUrl === undefined ? 'postgres' : health.checks.queue === 'ok' ? 'redis' : 'away',
      model: model['ANTHROPIC_BASE_URL'] ? 'stand-in' : (settings.model.baseUrl ?? MODEL_ADDRESS),
      tools: tools.EXAMPLE_TOOLS_URL,
      ms: Date.now() - began,
    }),
  );
}

start().catch((error: unknown) => {
  if (!stopping) console.error(plainly(error, setting('DATABASE_URL') === undefined ? dataDir : undefined));
  void stop(1);
});
