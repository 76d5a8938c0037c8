import { Logger } from '@nestjs/common';
import { BULLMQ_MAJOR_VERSION, LATEST_SCHEMA_VERSION } from 'bullmq';
import type { EntityManager } from 'typeorm';
import { StartFault } from '#errors/start-fault.js';
import { QUEUE_SCHEMA } from './connection.js';

/** Thrown at start when this process cannot work with BullMQ's tables. */
export class QueueSchemaError extends StartFault {}

/** BullMQ's record of each of its migrations. */
const APPLIED = `
  SELECT coalesce(max(version), 0)::int AS version, coalesce(max(min_client_version), 0)::int AS "needsMajor"
    FROM ${QUEUE_SCHEMA}.migration`;

/** PostgreSQL's SQLSTATEs of a missing table, schema and column. */
const NOT_THERE = new Set(['42P01', '3F000', '42703']);

/**
 * Compares BullMQ's tables with those that this process expects; BullMQ itself checks only its major version. If a migration is missing,
 * the process refuses the tables, as it refuses ours. It uses newer tables, and logs that, if they allow this version of BullMQ: during an
 * upgrade, processes of the previous version go on with them.
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
