import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Fair dispatch and a user's limits: rounds, user rates, and open streams. */
export class Fairness1795565100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE jobs ADD COLUMN round integer NOT NULL DEFAULT 0;
      -- Who is served next. It serves the claim alone, and knows queued jobs only.
      CREATE INDEX jobs_in_line ON jobs (round, id) WHERE status = 'queued';
      -- What a user has under way: few, however many turns there were.
      CREATE INDEX jobs_of_user ON jobs (user_id, round) WHERE status IN ('queued', 'running');

      -- No index but the key's, so that an update touches none.
      CREATE TABLE callers (
        user_id     text PRIMARY KEY,
        -- Each turn moves it on by its share of the minute; a minute ahead, the minute is used up.
        turns_until timestamptz NOT NULL
      ) WITH (fillfactor = 70);

      -- A function, because it must see what was committed while the statement that calls it waited for the caller's row.
      CREATE FUNCTION next_place(of_user text, most integer, OUT round integer, OUT unfinished integer)
      LANGUAGE plpgsql VOLATILE AS $$
      DECLARE
        head integer;
        mine integer;
      BEGIN
        SELECT count(*) INTO unfinished FROM (
          SELECT FROM jobs j WHERE j.user_id = of_user AND j.status IN ('queued', 'running') LIMIT most
        ) j;
        SELECT j.round INTO mine FROM jobs j
         WHERE j.user_id = of_user AND j.status IN ('queued', 'running') ORDER BY j.round DESC LIMIT 1;
        SELECT j.round INTO head FROM jobs j WHERE j.status = 'queued' ORDER BY j.round, j.id LIMIT 1;
        -- Null is passed over.
        round := greatest(head, mine + 1, 0);
      END $$;

      -- Which process has how many of a user's streams open. A crash of PostgreSQL empties both; every process writes its own again.
      CREATE UNLOGGED TABLE stream_holders (
        process     uuid PRIMARY KEY,
        -- A process that is gone says so by its silence.
        alive_until timestamptz NOT NULL
      );
      CREATE UNLOGGED TABLE open_streams (
        user_id text NOT NULL,
        process uuid NOT NULL,
        streams integer NOT NULL CHECK (streams >= 0),
        PRIMARY KEY (user_id, process)
      );

      -- Adds a stream if the user has fewer than so many; one at a time for each user.
      CREATE FUNCTION open_stream(of_user text, by_process uuid, most integer) RETURNS boolean
      LANGUAGE plpgsql VOLATILE AS $$
      BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('stream:' || of_user, 0));
        IF most <= (SELECT coalesce(sum(s.streams), 0)
                      FROM open_streams s JOIN stream_holders h ON h.process = s.process
                     WHERE s.user_id = of_user AND h.alive_until > clock_timestamp()) THEN
          RETURN false;
        END IF;
        INSERT INTO open_streams AS s (user_id, process, streams) VALUES (of_user, by_process, 1)
        ON CONFLICT (user_id, process) DO UPDATE SET streams = s.streams + 1;
        RETURN true;
      END $$;

      -- Takes off what has closed. Two statements, so that a stream that opens in between is seen by the second.
      CREATE FUNCTION close_streams(of_users text[], closed integer[], by_process uuid) RETURNS void
      LANGUAGE plpgsql VOLATILE AS $$
      BEGIN
        UPDATE open_streams s SET streams = greatest(0, s.streams - c.gone)
          FROM unnest(of_users, closed) AS c (user_id, gone)
         WHERE s.process = by_process AND s.user_id = c.user_id;
        DELETE FROM open_streams s WHERE s.process = by_process AND s.user_id = ANY (of_users) AND s.streams = 0;
      END $$;
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
