import { Logger } from '@nestjs/common';
import { BULLMQ_MAJOR_VERSION, LATEST_SCHEMA_VERSION } from 'bullmq';
import type { EntityManager } from 'typeorm';
import { StartFault } from '#errors/start-fault.js';
import { QUEUE_SCHEMA } from './connection.js';

/** Thrown at start when BullMQ's tables are not those that this process can work with. */
export class QueueSchemaError extends StartFault {}

/** The columns that BullMQ keeps of each of its migrations. */
const APPLIED = `
  SELECT coalesce(max(version), 0)::int AS version, coalesce(max(min_client_version), 0)::int AS "needsMajor"
    FROM ${QUEUE_SCHEMA}.migration`;

/** PostgreSQL's states of a table, a schema and a column that is not there. */
const NOT_THERE = new Set(['42P01', '3F000', '42703']);

/**
 * Holds BullMQ's tables against those that this process expects; it looks at them itself only for its major version. Tables that lack a
 * migration are refused, as ours are. Newer tables are used, and written of in the log, if they say that this version of BullMQ may:
 * while a deployment is upgraded, processes of the version before go on with them.
 * @throws QueueSchemaError
 */
export async function checkQueueSchema(manager: EntityManager): Promise<void> {
  const { version, needsMajor } = await applied(manager);
  if (needsMajor > BULLMQ_MAJOR_VERSION) {
    throw new QueueSchemaError(
      `The queue's tables (schema ${QUEUE_SCHEMA}) need BullMQ ${needsMajor}, and this process has BullMQ ${BULLMQ_MAJOR_VERSION}: ` +
        'a newer Rejoinder has migrated them. Start that one.',
    );
  }
  if (version < LATEST_SCHEMA_VERSION) {
    throw new QueueSchemaError(
      `The queue's tables (schema ${QUEUE_SCHEMA}) are of version ${version}, and this process needs ${LATEST_SCHEMA_VERSION}. ` +
        'Run `npm run migrate` first.',
    );
  }
  if (version > LATEST_SCHEMA_VERSION) {
    new Logger('queue').warn(
      `the queue's tables (schema ${QUEUE_SCHEMA}) are of version ${version}, and this process knows ${LATEST_SCHEMA_VERSION}: ` +
        'a newer version has migrated them. This process uses them, because they allow it',
    );
  }
}

async function applied(manager: EntityManager): Promise<{ version: number; needsMajor: number }> {
  try {
    const [row] = await manager.query<{ version: number; needsMajor: number }[]>(APPLIED);
    return row ?? { version: 0, needsMajor: 0 };
  } catch (error) {
    const { code } = (error as { driverError?: { code?: string } }).driverError ?? {};
    if (code === undefined || !NOT_THERE.has(code)) throw error;
    return { version: 0, needsMajor: 0 };
  }
}
