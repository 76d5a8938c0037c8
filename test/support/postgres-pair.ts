import { execFile } from 'node:child_process';
import { appendFile, copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../tools/embedded-postgres.js';
import { dataPlace, unprivilegedAccount } from '../../tools/postgres-place.js';
import { MovingAddress } from './moving-address.js';
import { DATABASE, prepareDatabase } from './own-postgres.js';
import { makeServerData } from './server-data.js';
import { steadyPort } from './steady-port.js';
import { until } from './until.js';

const run = promisify(execFile);

/** A primary and its standby, and an address that leads to the primary until {@link PostgresPair.promote}. */
export interface PostgresPair {
  /** The migrated database, at the address that moves. */
  readonly url: string;
  /** The server that is the primary at first. The pool stays with it. */
  readonly old: pg.Pool;
  /** The server that is the standby at first. */
  readonly other: pg.Pool;
  readonly address: MovingAddress;
  /** Shuts the primary for writing. Its sessions stay. */
  fence(): Promise<void>;
  /** Makes the standby the primary, and makes the address lead there. The old server lives on, with all its sessions. */
  promote(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both servers. `env` has the settings of the migration besides the address. */
export async function startPostgresPair(env: Record<string, string> = {}): Promise<PostgresPair> {
  const homes = [await makeServerData('old'), await makeServerData('other')];
  const [oldHome = '', otherHome = ''] = homes;
  const start = async (dataDir: string, port: number): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir, port, persistent: true, fast: true });
  const [oldPort, otherPort] = [await steadyPort(), await steadyPort()];
  const made = await start(oldHome, oldPort);
  await prepareDatabase(made, env);
  await made.stop();
  const place = await copyAsStandby(made.place, oldHome, otherHome, new URL(made.url()));
  const [first, second] = await Promise.all([start(oldHome, oldPort), start(otherHome, otherPort)]);
  const [old, other] = [first, second].map((server) => new pg.Pool({ connectionString: server.url(DATABASE), max: 2 }));
  if (old === undefined || other === undefined) throw new Error('no servers');
  for (const pool of [old, other]) pool.on('error', () => undefined);
  const address = await MovingAddress.start(oldPort);
  const url = new URL(first.url(DATABASE));
  url.port = String(address.port);
  return {
    url: url.href,
    old,
    other,
    address,
    fence: async () => {
      await old.query('ALTER SYSTEM SET default_transaction_read_only = on');
      await old.query('SELECT pg_reload_conf()');
    },
    promote: async () => {
      const { rows } = await old.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
      await until(async () => {
        const replayed = await other.query('SELECT pg_last_wal_replay_lsn() >= $1 AS all', [rows[0]?.lsn]);
        return replayed.rows[0].all === true;
      }, 'the standby to have all of it');
      await other.query('SELECT pg_promote()');
      address.moveTo(otherPort);
    },
    stop: async () => {
      await Promise.all([old.end(), other.end(), address.stop()]);
      await Promise.all([first.stop(), second.stop()]);
      for (const path of new Set([...homes, first.place, place])) await rm(path, { recursive: true, force: true });
    },
  };
}

/** Copies the data of a stopped server for a standby that follows it. @returns the copy's directory */
async function copyAsStandby(from: string, fromHome: string, toHome: string, primary: URL): Promise<string> {
  const place = dataPlace(toHome, unprivilegedAccount());
  await copyFile(join(fromHome, 'postgres-password'), join(toHome, 'postgres-password'));
  const cluster = join(place, 'postgres');
  await run('cp', ['-a', join(from, 'postgres'), cluster]);
  const { hostname, port, username, password } = primary;
  const conninfo = `host=${hostname} port=${port} user=${username} password=${password}`;
  await appendFile(join(cluster, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
  await writeFile(join(cluster, 'standby.signal'), '');
  const account = unprivilegedAccount();
  if (account) await run('chown', ['-R', `${account.uid}:${account.gid}`, cluster]);
  return place;
}
