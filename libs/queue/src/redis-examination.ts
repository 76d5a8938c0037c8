import { type Redis, ReplyError } from 'ioredis';
import { reportStoreFault } from './store-errors.js';

/** BullMQ refuses versions below 5 and recommends this one. Our own commands need it, too. */
const OLDEST = [6, 2] as const;

/**
 * Examines a Redis after the process has connected, and logs at level error the settings that its operator must change. It refuses no
 * Redis: the service runs on any, or without one, and the next connection may lead to another.
 */
export async function examineRedis(redis: Redis, prefix: string): Promise<void> {
  try {
    for (const fault of faultsOf(String(await redis.call('INFO')))) reportStoreFault(fault);
  } catch {
    // Redis's user may not send this command, or Redis is away again. BullMQ sends the same command and reports the error.
  }
  try {
    // This channel has no subscriber. The right to publish is the same for the channels of replies.
    await redis.publish(`${prefix}:examination`, '');
  } catch (error) {
    if (error instanceof ReplyError && (error as Error).message.startsWith('NOPERM'))
      reportStoreFault(noChannels(prefix));
  }
}

/** The fault of a Redis whose user may not use channels, and its effect on streams. */
export const noChannels = (prefix: string): string =>
  `the user of REDIS_URL may not use the channels ${prefix}:* (or not publish or subscribe): ` +
  'streams show no text before the end. ACL SETUSER grants it; docs/operations/redis.md has the line';

/** Faults of a Redis that reports this about itself (`INFO`). */
export function faultsOf(info: string): string[] {
  const value = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
  const faults: string[] = [];
  const policy = value('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    faults.push(
      `Redis has maxmemory-policy ${policy}, and drops tickets when its memory is full: ` +
        'turns then wait until the reconciler finds them. Set it to noeviction',
    );
  }
  // Other servers of this protocol number versions differently, and name themselves.
  const version = value('(?:valkey|dragonfly)_version') === undefined ? value('redis_version') : undefined;
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  if (version !== undefined && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))) {
    faults.push(`Redis is of version ${version}, too old for the queue: it needs ${OLDEST.join('.')} or newer`);
  }
  return faults;
}
