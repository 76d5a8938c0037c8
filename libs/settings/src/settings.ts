import { existsSync } from 'node:fs';
import { StartFault } from '#errors/start-fault.js';
import { parseDatabaseUrl } from './database-address.js';
import { readModelAddress } from './model-address.js';
import { type ModelProvider, publicAddress, readModelProvider } from './model-provider.js';
import { type CredentialsProxy, type ModelProxy, readCredentialsProxy, readModelProxy } from './model-proxy.js';
import { readOrigins } from './origins.js';
import { parseRedisUrl } from './redis-address.js';
import { readTokenClaims, readTokenKeys, type TokenClaimSettings, type TokenKeySettings } from './token-settings.js';
import { readToolsSecrets } from './tools-secrets.js';

/** Every setting of the two apps, parsed once at start. Nothing else reads the environment. */
export interface Settings {
  readonly production: boolean;
  readonly port: number;
  readonly workerPort: number;
  /** The port of the API's metrics; undefined: they are not served. (The worker's are on `workerPort`.) */
  readonly metricsPort: number | undefined;
  readonly host: string;
  /** Connections that the API may have to its clients. */
  readonly maxConnections: number;
  /** How long the API keeps an idle connection open, in milliseconds. */
  readonly keepAliveMs: number;
  /** The longest that a request waits for a reply, in seconds. */
  readonly longestWaitSeconds: number;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'text';
  /** Whether traces are kept, which they are if OpenTelemetry's variables say where to send them. Its SDK reads all of its variables itself. */
  readonly traces: boolean;
  readonly database: { readonly url: string; readonly poolSize: number };
  /** Undefined: BullMQ runs on PostgreSQL, and the text of replies travels through it. */
  readonly redisUrl: string | undefined;
  readonly jwt: TokenKeySettings & TokenClaimSettings;
  /** Origins whose pages may use the API from a browser; none: only its own pages. */
  readonly corsOrigins: readonly string[];
  /** Whether pages of this machine may use the API, whatever port serves them: a front-end under development. */
  readonly corsLocalhost: boolean;
  /** Whether the API serves the playground, at `/`. */
  readonly playground: boolean;
  readonly assistantsFile: string;
  readonly model: {
    /** Left out: the Messages API. */
    readonly provider?: ModelProvider;
    /** The key of the Messages API. No other provider gets it. */
    readonly apiKey: string | undefined;
    /** Calls are made below this address, which has no slash at its end. Undefined: {@link MODEL_ADDRESS}. */
    readonly baseUrl: string | undefined;
    /** The header with the key. Left out: `authorization`, as a bearer token. */
    readonly authHeader?: AuthHeader;
    /** The proxy on the way to the model; left out: there is none. */
    readonly proxy?: ModelProxy;
    /** The proxy on the way to servers with credentials of AWS or Google; left out: there is none. */
    readonly credentialsProxy?: CredentialsProxy;
    /** Longest silence of the model, before its first byte and between two pieces, in milliseconds. */
    readonly idleMs: number;
    /** Longest call, in milliseconds. */
    readonly totalMs: number;
  };
  /** How a worker runs tools on other servers. */
  readonly tools: {
    /** Secrets that sign the requests, each as `whsec_<base64>`; all of them sign. None: tools that a worker runs with `POST` are not available. */
    readonly secrets: readonly string[];
    /** Calls of tools that one worker has open at once. */
    readonly callsAtOnce: number;
    /** Whether `npm start` also starts the example tool server. */
    readonly example: boolean;
  };
  readonly workerConcurrency: number;
  /** How long the attempts of a stopping worker may go on, in milliseconds. */
  readonly workerDrainMs: number;
  /** Limits of one user, and of the service. Undefined: no limit. */
  readonly limits: {
    readonly turnsPerMinute: number | undefined;
    readonly unfinishedTurns: number | undefined;
    readonly openStreams: number | undefined;
    readonly tokensPerDay: number | undefined;
    /** The most that a user's calls may cost in a day, in the currency of the prices. */
    readonly costPerDay: number | undefined;
    /** Unfinished turns of all users together. */
    readonly allUnfinishedTurns: number | undefined;
  };
}

/** The model's address, unless `ANTHROPIC_BASE_URL` is set. */
export const MODEL_ADDRESS = 'https://api.anthropic.com';

/**
 * Headers that may carry the model's key. Most servers take either; vLLM and Ollama's cloud take a bearer token only, Microsoft
 * Foundry `x-api-key` only. None wants both.
 */
const AUTH_HEADERS = ['authorization', 'x-api-key'] as const;
export type AuthHeader = (typeof AUTH_HEADERS)[number];

/** Other programs verify no tokens. */
const NO_TOKENS: TokenKeySettings = { secret: undefined, development: false, jwksUri: undefined };

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Thrown by {@link readSettings}: one line per fault, each naming its variable. */
export class SettingsError extends StartFault {
  constructor(readonly faults: readonly string[]) {
    super(`Rejoinder cannot start with these settings:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

/** The programs that have settings. `start` is `npm start`, which has the settings of all its parts. */
export type Program = 'api' | 'worker' | 'migrate' | 'start';

/**
 * Settings that only one program uses. The others must not fail because of them: a variable such as `WORKER_PORT=tcp://…` may have another
 * source (Kubernetes makes it for a Service called `worker`).
 */
const OF_ONE: readonly (readonly [Program, RegExp])[] = [
  [
    'api',
    /^(PORT|METRICS_PORT|MAX_CONNECTIONS|KEEP_ALIVE_SECONDS|LONGEST_WAIT_SECONDS|CORS_ORIGINS|PLAYGROUND|ASSISTANTS_FILE)$/,
  ],
  ['api', /^(JWT_\w+|USER_\w+|UNFINISHED_TURNS)$/],
  ['worker', /^(WORKER_\w+|ANTHROPIC_\w+|MODEL_\w+|TOOL_CALLS_AT_ONCE)$/],
  ['worker', /^(AWS_\w+|GOOGLE_\w+|CLOUD_ML_REGION)$/],
  ['start', /^TOOLS_EXAMPLE$/],
];
const OF_MIGRATE = new Set(['DATABASE_URL', 'REDIS_URL', 'NODE_ENV']);

function isUsed(app: Program, name: string): boolean {
  if (app === 'start') return true;
  if (app === 'migrate') return OF_MIGRATE.has(name);
  const [only] = OF_ONE.find(([, names]) => names.test(name)) ?? [app];
  return only === app;
}

/** Adds the variables of a `.env` file in the working directory to the environment. Variables that are already set win. */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/**
 * Parses the environment into {@link Settings}.
 *
 * `app` says which program asks. A setting that the program does not use is not checked, and has its default.
 *
 * @throws SettingsError with every fault at once, so that operators do not mend them one restart at a time.
 */
export function readSettings(app: Program, env: NodeJS.ProcessEnv = process.env): Settings {
  const faults: string[] = [];
  const text = (name: string): string | undefined => {
    const value = isUsed(app, name) ? env[name]?.trim() : undefined;
    return value === '' ? undefined : value;
  };
  const integer = (name: string, fallback: number, min: number, max: number): number => {
    const raw = text(name);
    if (raw === undefined) return fallback;
    const value = Number(raw);
    if (/^\d+$/.test(raw) && value >= min && value <= max) return value;
    faults.push(`${name} must be a whole number from ${min} to ${max}, not "${raw}".`);
    return fallback;
  };
  const limit = (name: string, fallback: number, max: number): number | undefined =>
    integer(name, fallback, 0, max) || undefined;
  const amount = (name: string): number | undefined => {
    const raw = text(name) ?? '0';
    if (!/^\d{1,12}(\.\d{1,12})?$/.test(raw)) faults.push(`${name} must be an amount such as 2.50, not "${raw}".`);
    return Number(raw) || undefined;
  };
  const isOn = (name: string, fallback: boolean): boolean => {
    const raw = text(name) ?? (fallback ? 'on' : 'off');
    if (raw !== 'on' && raw !== 'off') faults.push(`${name} must be on or off, not "${raw}".`);
    return raw === 'on';
  };
  const url = (name: string, protocols: readonly string[]): string | undefined => {
    const raw = text(name);
    if (raw === undefined) return undefined;
    // The message does not repeat the value: addresses carry passwords.
    if (!URL.canParse(raw) || !protocols.includes(new URL(raw).protocol)) {
      faults.push(`${name} must be an address that begins with ${protocols.map((p) => `${p}//`).join(' or ')}.`);
    }
    return raw;
  };

  /** Returned as it is: the library that connects takes it apart as `parse` does. */
  const address = (name: string, parse: (url: string) => unknown): string | undefined => {
    const raw = text(name);
    try {
      if (raw !== undefined) parse(raw);
    } catch (error) {
      faults.push((error as Error).message);
    }
    return raw;
  };

  const metricsPort = (): number | undefined => {
    if (text('METRICS_PORT') === 'off') return undefined;
    // Outside production several checkouts may run side by side and would share a port, so metrics are served only if the variable is set.
    return production || text('METRICS_PORT') !== undefined ? integer('METRICS_PORT', 3002, 0, 65535) : undefined;
  };

  const tracesAreKept = (): boolean => {
    const endpoints = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
    const given = endpoints.map((name) => url(name, ['http:', 'https:'])).some((endpoint) => endpoint !== undefined);
    return given && text('OTEL_SDK_DISABLED') !== 'true' && text('OTEL_TRACES_EXPORTER') !== 'none';
  };

  const nodeEnv = text('NODE_ENV') ?? 'development';
  if (!['development', 'test', 'production'].includes(nodeEnv)) {
    faults.push(`NODE_ENV must be development, test or production, not "${nodeEnv}".`);
  }
  const production = nodeEnv === 'production';

  const databaseUrl = address('DATABASE_URL', parseDatabaseUrl);
  if (databaseUrl === undefined) {
    faults.push(
      'DATABASE_URL is not set. `npm start` brings a PostgreSQL of its own; a program that runs by itself needs one.',
    );
  }

  const logLevel = (text('LOG_LEVEL') ?? 'info') as LogLevel;
  if (!LOG_LEVELS.includes(logLevel)) faults.push(`LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`);

  const logFormat = text('LOG_FORMAT') ?? (production ? 'json' : 'text');
  if (logFormat !== 'json' && logFormat !== 'text') faults.push('LOG_FORMAT must be json or text.');

  const provider = readModelProvider(text, faults);
  const ofMessagesApi = provider.name === 'anthropic';
  let apiKey = ofMessagesApi ? text('ANTHROPIC_API_KEY') : undefined;
  const baseUrl = readModelAddress(text('ANTHROPIC_BASE_URL'), faults, provider.name) ?? publicAddress(provider);
  if (app === 'worker' && ofMessagesApi && apiKey === undefined) {
    if (text('ANTHROPIC_BASE_URL') === undefined) {
      faults.push('ANTHROPIC_API_KEY is not set (nor ANTHROPIC_BASE_URL, for a server that needs no key).');
    } else {
      apiKey = 'none';
    }
  }

  if (app === 'worker' && apiKey !== undefined && !/^[\x20-\x7e]*$/.test(apiKey)) {
    faults.push(
      'ANTHROPIC_API_KEY holds characters that no header can carry. Copy the key again, complete and without anything else.',
    );
  }
  const authHeader = (text('ANTHROPIC_AUTH_HEADER')?.toLowerCase() ?? 'authorization') as AuthHeader;
  if (!AUTH_HEADERS.includes(authHeader)) {
    faults.push(`ANTHROPIC_AUTH_HEADER must be one of ${AUTH_HEADERS.join(', ')}.`);
  }
  // Only the worker calls the model, so no other program needs a proxy.
  const proxy = app === 'worker' ? readModelProxy(baseUrl ?? MODEL_ADDRESS, text, faults) : undefined;
  const credentialsProxy = app === 'worker' && !ofMessagesApi ? readCredentialsProxy(text, faults) : undefined;

  const settings: Settings = {
    production,
    port: integer('PORT', 3000, 0, 65535),
    workerPort: integer('WORKER_PORT', 3001, 0, 65535),
    metricsPort: metricsPort(),
    host: text('HOST') ?? (production ? '0.0.0.0' : '127.0.0.1'),
    maxConnections: integer('MAX_CONNECTIONS', 12_000, 10, 1_000_000),
    keepAliveMs: integer('KEEP_ALIVE_SECONDS', 95, 1, 3_600) * 1_000,
    longestWaitSeconds: integer('LONGEST_WAIT_SECONDS', 55, 1, 60),
    logLevel,
    logFormat: logFormat === 'json' ? 'json' : 'text',
    traces: tracesAreKept(),
    database: { url: databaseUrl ?? '', poolSize: integer('DATABASE_POOL_SIZE', 10, 2, 500) },
    redisUrl: address('REDIS_URL', parseRedisUrl),
    jwt: {
      ...(app === 'api' || app === 'start' ? readTokenKeys(production, text, faults) : NO_TOKENS),
      ...readTokenClaims(text, faults),
    },
    corsOrigins: readOrigins(text('CORS_ORIGINS'), faults),
    corsLocalhost: nodeEnv === 'development',
    playground: isOn('PLAYGROUND', !production),
    assistantsFile: text('ASSISTANTS_FILE') ?? 'assistants.yaml',
    model: {
      provider,
      apiKey,
      baseUrl,
      authHeader,
      proxy,
      credentialsProxy,
      idleMs: integer('MODEL_IDLE_SECONDS', 60, 1, 600) * 1_000,
      totalMs: integer('MODEL_TOTAL_SECONDS', 600, 1, 3_600) * 1_000,
    },
    tools: {
      secrets: readToolsSecrets(production, text, faults),
      callsAtOnce: integer('TOOL_CALLS_AT_ONCE', 64, 1, 1_000),
      example: isOn('TOOLS_EXAMPLE', true),
    },
    workerConcurrency: integer('WORKER_CONCURRENCY', 50, 1, 5000),
    workerDrainMs: integer('WORKER_DRAIN_SECONDS', production ? 120 : 8, 0, 3_600) * 1_000,
    limits: {
      turnsPerMinute: limit('USER_TURNS_PER_MINUTE', 60, 60_000),
      unfinishedTurns: limit('USER_UNFINISHED_TURNS', 20, 100_000),
      openStreams: limit('USER_OPEN_STREAMS', 50, 100_000),
      tokensPerDay: limit('USER_TOKENS_PER_DAY', 0, Number.MAX_SAFE_INTEGER),
      costPerDay: amount('USER_COST_PER_DAY'),
      allUnfinishedTurns: limit('UNFINISHED_TURNS', 10_000, 1_000_000),
    },
  };
  if (faults.length > 0) throw new SettingsError(faults);
  return settings;
}
