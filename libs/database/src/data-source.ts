import { Socket } from 'node:net';
import type { PoolConfig } from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { StartFault } from '#errors/start-fault.js';
import { onlyReads, ReadOnlyServerError } from './read-only.js';
import { preparingPg } from './prepared-client.js';
import { refuseSharedSessions } from './own-session.js';
import type { SessionOptions, SessionSettings } from './session-client.js';
import { startFault } from './unreachable.js';
import { Assistant } from './entities/assistant.entity.js';
import { AssistantVersion } from './entities/assistant-version.entity.js';
import { Chat } from './entities/chat.entity.js';
import { Deployment } from './entities/deployment.entity.js';
import { Dispatch } from './entities/dispatch.entity.js';
import { DraftParts } from './entities/draft-parts.entity.js';
import { IdempotencyKey } from './entities/idempotency-key.entity.js';
import { Job } from './entities/job.entity.js';
import { Message } from './entities/message.entity.js';
import { ModelCall } from './entities/model-call.entity.js';
import { ModelHold } from './entities/model-hold.entity.js';
import { OpenStream, StreamHolder } from './entities/open-stream.entity.js';
import { Receipt } from './entities/receipt.entity.js';
import { UserRate } from './entities/user-rate.entity.js';
import { Price } from './entities/price.entity.js';
import { Spending } from './entities/spending.entity.js';
import { Step } from './entities/step.entity.js';
import { Summary } from './entities/summary.entity.js';
import { ToolCall } from './entities/tool-call.entity.js';
import { Core1764000000000 } from './migrations/1764000000000-core.js';
import { Ledger1795564800000 } from './migrations/1795564800000-ledger.js';
import { IdempotencyKeys1795564900000 } from './migrations/1795564900000-idempotency-keys.js';
import { JobsAge1795565000000 } from './migrations/1795565000000-jobs-age.js';
import { Fairness1795565100000 } from './migrations/1795565100000-fairness.js';
import { Deployment1795565150000 } from './migrations/1795565150000-deployment.js';
import { Traces1795565200000 } from './migrations/1795565200000-traces.js';
import { DataCare1795565300000 } from './migrations/1795565300000-data-care.js';
import { Operators1795565400000 } from './migrations/1795565400000-operators.js';
import { UnfinishedJobs1795565500000 } from './migrations/1795565500000-unfinished-jobs.js';
import { RestingChats1795565600000 } from './migrations/1795565600000-resting-chats.js';
import { BusyTables1795565700000 } from './migrations/1795565700000-busy-tables.js';
import { Thinking1795565800000 } from './migrations/1795565800000-thinking.js';
import { LeftOut1795565900000 } from './migrations/1795565900000-left-out.js';
import { Estimates1795565910000 } from './migrations/1795565910000-estimates.js';
import { Holds1795565920000 } from './migrations/1795565920000-holds.js';
import { LeftToNewWorkers1795565940000 } from './migrations/1795565940000-left-to-new-workers.js';
import { Steps1795565950000 } from './migrations/1795565950000-steps.js';
import { Tools1795565960000 } from './migrations/1795565960000-tools.js';
import { Reasoning1795565970000 } from './migrations/1795565970000-reasoning.js';
import { Costs1795565980000 } from './migrations/1795565980000-costs.js';
import { Budgets1795565985000 } from './migrations/1795565985000-budgets.js';

export const ENTITIES = [
  Assistant,
  AssistantVersion,
  Chat,
  Message,
  Job,
  Step,
  DraftParts,
  ToolCall,
  ModelCall,
  ModelHold,
  IdempotencyKey,
  UserRate,
  OpenStream,
  StreamHolder,
  Receipt,
  Dispatch,
  Deployment,
  Summary,
  Price,
  Spending,
];

/** Listed by hand, oldest first: these run, in this order. */
export const MIGRATIONS = [
  Core1764000000000,
  Ledger1795564800000,
  IdempotencyKeys1795564900000,
  JobsAge1795565000000,
  Fairness1795565100000,
  Deployment1795565150000,
  Traces1795565200000,
  DataCare1795565300000,
  Operators1795565400000,
  UnfinishedJobs1795565500000,
  RestingChats1795565600000,
  BusyTables1795565700000,
  Thinking1795565800000,
  LeftOut1795565900000,
  Estimates1795565910000,
  Holds1795565920000,
  LeftToNewWorkers1795565940000,
  Steps1795565950000,
  Tools1795565960000,
  Reasoning1795565970000,
  Costs1795565980000,
  Budgets1795565985000,
];

export interface DatabaseOptions {
  readonly url: string;
  /** Most connections of this process. */
  readonly poolSize: number;
  /** Shown by PostgreSQL in `pg_stat_activity`. */
  readonly applicationName: string;
}

/**
 * How long a statement waits for a lock, and for a connection, in milliseconds. A statement may wait twice for a row that another session
 * holds: in line, and then at the head of the line. Even so, it must free its connection before the requests that wait for a connection
 * give up. A slow machine needs seconds to open connections for many requests at once. So a request waits for a connection as long as a
 * statement may take: if it were refused early, it would only come back as another request.
 */
const LONGEST_LOCK_WAIT_MS = 2_000;
const LONGEST_CONNECTION_WAIT_MS = 10_000;

/** The server ends a statement, and a transaction in which nothing happens, after this long. */
const BOUNDS: SessionSettings = {
  statement_timeout: 10_000,
  lock_timeout: LONGEST_LOCK_WAIT_MS,
  idle_in_transaction_session_timeout: 15_000,
};

/**
 * A connection is used for this long, in seconds, however busy it is. After a failover an address may lead to a server that only reads, and
 * later to the new primary. A connection that stays with the first server would get "read-only" for ever.
 */
const LONGEST_USE_SECONDS = 60;

/** A connection on which nothing has come for this long is dead: the server would have ended any statement. */
const LONGEST_SILENCE_MS = 12_000;

/** An idle connection is closed before it could be taken for dead. */
const LONGEST_IDLE_MS = 8_000;

/**
 * Connection options of the apps. Every wait has a bound: 10 s for a connection of the pool, 2 s for a lock, 10 s for a statement, and 12 s
 * for a silent server.
 */
export function dataSourceOptions(options: DatabaseOptions): DataSourceOptions {
  const extra: SessionOptions<PoolConfig> = {
    // Not as `url`: TypeORM takes an address apart in its own way, and knows no sockets.
    connectionString: options.url,
    session: BOUNDS,
    maxLifetimeSeconds: LONGEST_USE_SECONDS,
    idleTimeoutMillis: LONGEST_IDLE_MS,
    keepAlive: true,
    stream: socketThatGivesUp,
  };
  return {
    type: 'postgres',
    // Our own driver: its clients have an error listener and prepare statements.
    driver: preparingPg,
    applicationName: options.applicationName,
    entities: ENTITIES,
    migrations: MIGRATIONS,
    migrationsTableName: 'migrations',
    synchronize: false,
    logging: false,
    poolSize: options.poolSize,
    connectTimeoutMS: LONGEST_CONNECTION_WAIT_MS,
    extra,
  };
}

/** The server's time-outs do not help when the server, or the way to it, hangs. */
function socketThatGivesUp(): Socket {
  const socket = new Socket();
  return socket.setTimeout(LONGEST_SILENCE_MS, () => {
    const error = new Error('PostgreSQL has fallen silent') as NodeJS.ErrnoException;
    error.code = 'ETIMEDOUT';
    socket.destroy(error);
  });
}

/** Thrown at start when the database is older than the code. */
export class PendingMigrationsError extends StartFault {
  constructor() {
    super('The database has pending migrations. Run `npm run migrate` first.');
  }
}

/** @throws DatabaseUnreachableError */
export async function connect(options: DataSourceOptions): Promise<DataSource> {
  const source = new DataSource(options);
  try {
    return await source.initialize();
  } catch (cause) {
    throw startFault(urlOf(options), cause);
  }
}

const urlOf = ({ extra }: DataSourceOptions): string => (extra as PoolConfig).connectionString ?? '';

/**
 * Connects, and refuses a database that we cannot work with, or a connection that shares its sessions.
 * @throws DatabaseUnreachableError, SharedSessionError, ReadOnlyServerError, StartFault
 */
export async function connectChecked(options: DataSourceOptions): Promise<DataSource> {
  const source = await connect(options);
  try {
    await refuseSharedSessions(source, urlOf(options));
    await refuseOtherEncodings(source);
    if (await onlyReads(source)) throw new ReadOnlyServerError();
  } catch (error) {
    await source.destroy();
    throw error;
  }
  return source;
}

/** Text of all languages is stored: PostgreSQL must not have to convert it. */
async function refuseOtherEncodings(source: DataSource): Promise<void> {
  const [{ encoding }] = await source.query<[{ encoding: string }]>(
    "SELECT current_setting('server_encoding') AS encoding",
  );
  if (encoding === 'UTF8') return;
  throw new StartFault(
    `The database of DATABASE_URL has the encoding ${encoding}, and must have UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.`,
  );
}

/**
 * Connects, and refuses a database whose migrations are not all applied.
 * @throws DatabaseUnreachableError, SharedSessionError, ReadOnlyServerError, PendingMigrationsError
 */
export async function connectMigrated(options: DataSourceOptions): Promise<DataSource> {
  const source = await connectChecked(options);
  try {
    if (await source.showMigrations()) throw new PendingMigrationsError();
    return source;
  } catch (error) {
    await source.destroy();
    throw error;
  }
}
