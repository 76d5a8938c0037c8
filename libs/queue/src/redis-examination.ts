import { type Redis, ReplyError } from 'ioredis';
import { reportStoreFault } from './heard.js';

/** BullMQ refuses all below 5, and is at its best from here on. So are the commands we use. */
const OLDEST = [6, 2] as const;

/**
 * Looks at a Redis that has just been reached, and writes what is wrong with it, at level error: what its operator must change.
 * Nobody is refused for it, as the service runs on any Redis or none, and the next one to be reached may be another.
 */
export async function examineRedis(redis: Redis, prefix: string): Promise<void> {
  try {
    for (const fault of faultsOf(String(await redis.call('INFO')))) reportStoreFault(fault);
  } catch {
    // It may not be asked, or is gone again: BullMQ has the same question, and says so.
  }
  try {
    // Nobody listens. Whether one may is the same right as for the channels of replies.
    await redis.publish(`${prefix}:examination`, '');
  } catch (error) {
    if (error instanceof ReplyError && (error as Error).message.startsWith('NOPERM'))
      reportStoreFault(noChannels(prefix));
  }
}

/** What streams lack when Redis's user may not use channels. */
export const noChannels = (prefix: string): string =>
  `the user of REDIS_URL may not use the channels ${prefix}:* (or not publish or subscribe): ` +
  'streams show no text before the end. ACL SETUSER grants it; docs/operations/redis.md has the line';

/** What is wrong with a Redis that says this of itself (`INFO`). */
export function faultsOf(info: string): string[] {
  const value = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
  const faults: string[] = [];
  const policy = value('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    faults.push(
      `Redis has maxmemory-policy ${policy}, and will throw tickets away when its memory is full: ` +
        'turns then wait until they are found again. Set it to noeviction',
    );
  }
  // Others that speak as Redis does count differently, and say for themselves what they are.
  const version = value('(?:valkey|dragonfly)_version') === undefined ? value('redis_version') : undefined;
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  if (version !== undefined && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))) {
    faults.push(`Redis is of version ${version}, too old for the queue: it needs ${OLDEST.join('.')} or newer`);
  }
  return faults;
}
