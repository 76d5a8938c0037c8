-- What the migrations make, for readers: nothing runs this file. `npm run dev -- schema` writes it; a test holds it to be current.

CREATE TABLE admin_sessions (
  secret_hash bytea NOT NULL,
  user_id text NOT NULL,
  link_until timestamp(3) with time zone,
  expires_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT admin_sessions_pkey PRIMARY KEY (secret_hash),
  CONSTRAINT admin_sessions_secret_hash_check CHECK ((length(secret_hash) = 32))
);

CREATE TABLE assistant_versions (
  slug text NOT NULL,
  version integer NOT NULL,
  definition jsonb NOT NULL,
  model text NOT NULL GENERATED ALWAYS AS ((definition ->> 'model'::text)) STORED,
  max_output_tokens integer NOT NULL GENERATED ALWAYS AS (((definition ->> 'max_output_tokens'::text))::integer) STORED,
  prompt_bytes integer NOT NULL GENERATED ALWAYS AS (octet_length((definition ->> 'system_prompt'::text))) STORED,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  tool_bytes integer NOT NULL GENERATED ALWAYS AS (COALESCE(octet_length((definition ->> 'tools'::text)), 0)) STORED,
  context_tokens integer NOT NULL GENERATED ALWAYS AS (COALESCE(((definition ->> 'context_tokens'::text))::integer, 150000)) STORED,
  cost_per_day numeric GENERATED ALWAYS AS (((definition ->> 'cost_per_day'::text))::numeric) STORED,
  CONSTRAINT assistant_versions_pkey PRIMARY KEY (slug, version),
  CONSTRAINT assistant_versions_slug_fkey FOREIGN KEY (slug) REFERENCES assistants(slug)
);

CREATE TABLE assistants (
  slug text NOT NULL,
  name text NOT NULL,
  description text NOT NULL,
  system_prompt text NOT NULL,
  welcome_message text NOT NULL,
  model text NOT NULL,
  max_output_tokens integer NOT NULL,
  version integer NOT NULL DEFAULT 1,
  retired_at timestamp(3) with time zone,
  retention_days integer,
  thinking text,
  effort text,
  tools jsonb NOT NULL DEFAULT '[]'::jsonb,
  max_steps smallint NOT NULL DEFAULT 16,
  action_seconds integer NOT NULL DEFAULT 86400,
  show_reasoning boolean NOT NULL DEFAULT false,
  output_schema jsonb,
  stop_sequences jsonb,
  cache_ttl text NOT NULL DEFAULT '5m'::text,
  context_tokens integer NOT NULL DEFAULT 150000,
  compaction text NOT NULL DEFAULT 'truncate'::text,
  fallback_model text,
  cost_per_day numeric,
  CONSTRAINT assistants_pkey PRIMARY KEY (slug),
  CONSTRAINT assistants_cache_ttl_check CHECK ((cache_ttl = ANY (ARRAY['5m'::text, '1h'::text]))),
  CONSTRAINT assistants_compaction_check CHECK ((compaction = ANY (ARRAY['truncate'::text, 'summary'::text]))),
  CONSTRAINT assistants_context_tokens_check CHECK ((context_tokens > 0)),
  CONSTRAINT assistants_cost_per_day_check CHECK ((cost_per_day > (0)::numeric)),
  CONSTRAINT assistants_effort_check CHECK ((effort = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'xhigh'::text, 'max'::text]))),
  CONSTRAINT assistants_max_output_tokens_check CHECK ((max_output_tokens > 0)),
  CONSTRAINT assistants_retention_days_check CHECK ((retention_days >= 1)),
  CONSTRAINT assistants_slug_check CHECK ((slug ~ '^[a-z][a-z0-9-]{0,62}$'::text)),
  CONSTRAINT assistants_thinking_check CHECK ((thinking = ANY (ARRAY['adaptive'::text, 'between_tools'::text, 'disabled'::text]))),
  CONSTRAINT assistants_version_check CHECK ((version >= 1))
);
CREATE TRIGGER assistants_keep_version AFTER INSERT OR UPDATE OF version ON assistants FOR EACH ROW EXECUTE FUNCTION keep_assistant_version();

CREATE TABLE callers (
  user_id text NOT NULL,
  turns_until timestamp with time zone NOT NULL,
  CONSTRAINT callers_pkey PRIMARY KEY (user_id)
) WITH (fillfactor=70);

CREATE TABLE chats (
  id uuid NOT NULL,
  user_id text,
  assistant_slug text NOT NULL,
  status text NOT NULL,
  title text,
  metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
  last_seq integer NOT NULL DEFAULT 0,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  last_message_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  released_from text,
  rested_at timestamp(3) with time zone GENERATED ALWAYS AS (
CASE
    WHEN (status <> 'active'::text) THEN last_message_at
    ELSE NULL::timestamp with time zone
END) STORED,
  idle_since timestamp(3) with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  window_from_seq integer,
  context_tokens integer,
  CONSTRAINT chats_pkey PRIMARY KEY (id),
  CONSTRAINT chats_last_seq_check CHECK ((last_seq >= 0)),
  CONSTRAINT chats_one_owner CHECK ((num_nonnulls(user_id, released_from) = 1)),
  CONSTRAINT chats_status_check CHECK ((status = ANY (ARRAY['active'::text, 'archived'::text, 'closed'::text]))),
  CONSTRAINT chats_assistant_slug_fkey FOREIGN KEY (assistant_slug) REFERENCES assistants(slug)
) WITH (fillfactor=80);
CREATE INDEX chats_at_rest ON chats USING btree (user_id, status, rested_at, id) WHERE (status <> 'active'::text);
CREATE INDEX chats_at_rest_with ON chats USING btree (user_id, assistant_slug, status, rested_at, id) WHERE (status <> 'active'::text);
CREATE INDEX chats_of_user ON chats USING btree (user_id, created_at, id);
CREATE UNIQUE INDEX chats_one_active ON chats USING btree (user_id, assistant_slug) WHERE (status = 'active'::text);
CREATE INDEX chats_released ON chats USING btree (released_from) WHERE (user_id IS NULL);
CREATE INDEX chats_retention ON chats USING btree (assistant_slug, idle_since);

CREATE TABLE deployment (
  is_this boolean NOT NULL DEFAULT true,
  log_key bytea NOT NULL,
  currency text,
  CONSTRAINT deployment_pkey PRIMARY KEY (is_this),
  CONSTRAINT deployment_is_this_check CHECK (is_this)
);

CREATE TABLE dispatch (
  one boolean NOT NULL DEFAULT true,
  paused boolean NOT NULL DEFAULT false,
  changed_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  changed_by text,
  CONSTRAINT dispatch_pkey PRIMARY KEY (one),
  CONSTRAINT dispatch_one_check CHECK (one)
);

CREATE TABLE draft_parts (
  job_id uuid NOT NULL,
  attempt integer NOT NULL,
  step smallint NOT NULL,
  parts jsonb NOT NULL,
  CONSTRAINT draft_parts_pkey PRIMARY KEY (job_id),
  CONSTRAINT draft_parts_attempt_check CHECK ((attempt >= 1)),
  CONSTRAINT draft_parts_step_check CHECK ((step >= 1)),
  CONSTRAINT draft_parts_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE
);

CREATE TABLE idempotency_keys (
  user_id text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  job_id uuid,
  message_id uuid,
  chat jsonb,
  created boolean NOT NULL,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
  CONSTRAINT idempotency_keys_fingerprint_check CHECK ((length(fingerprint) = 32)),
  CONSTRAINT idempotency_keys_one_effect CHECK ((num_nonnulls(job_id, message_id, chat) = 1)),
  CONSTRAINT idempotency_keys_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id),
  CONSTRAINT idempotency_keys_message_id_fkey FOREIGN KEY (message_id) REFERENCES messages(id)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING btree (created_at);
CREATE INDEX idempotency_keys_chat ON idempotency_keys USING btree (((chat ->> 'id'::text))) WHERE (chat IS NOT NULL);
CREATE INDEX idempotency_keys_job ON idempotency_keys USING btree (job_id) WHERE (job_id IS NOT NULL);
CREATE INDEX idempotency_keys_message ON idempotency_keys USING btree (message_id) WHERE (message_id IS NOT NULL);

CREATE TABLE jobs (
  id uuid NOT NULL,
  type text NOT NULL,
  status text NOT NULL,
  chat_id uuid NOT NULL,
  user_id text NOT NULL,
  user_message_id uuid NOT NULL,
  request_id text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  attempts_left smallint NOT NULL,
  available_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  lease_until timestamp(3) with time zone,
  draft text NOT NULL DEFAULT ''::text,
  error_code text,
  error_message text,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  started_at timestamp(3) with time zone,
  finished_at timestamp(3) with time zone,
  round integer NOT NULL DEFAULT 0,
  traceparent text,
  requeued_at timestamp(3) with time zone,
  free_attempts smallint NOT NULL DEFAULT 0,
  left_to_workers_since timestamp(3) with time zone,
  assistant_version integer,
  step smallint NOT NULL DEFAULT 0,
  kept text NOT NULL DEFAULT ''::text,
  window_from_seq integer,
  action_since timestamp(3) with time zone,
  action_expires_at timestamp(3) with time zone,
  waited_seconds integer NOT NULL DEFAULT 0,
  reserved_tokens bigint,
  reserved_cost numeric,
  budget_of text,
  CONSTRAINT jobs_pkey PRIMARY KEY (id),
  CONSTRAINT jobs_attempts_check CHECK ((attempts >= 0)),
  CONSTRAINT jobs_attempts_left_check CHECK ((attempts_left >= 0)),
  CONSTRAINT jobs_failed_has_error CHECK (((status = 'failed'::text) = (error_code IS NOT NULL))),
  CONSTRAINT jobs_final_has_end CHECK (((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text])) = (finished_at IS NOT NULL))),
  CONSTRAINT jobs_running_has_lease CHECK (((status = 'running'::text) = (lease_until IS NOT NULL))),
  CONSTRAINT jobs_status_check CHECK (((status = ANY (ARRAY['queued'::text, 'running'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])) AND ((status = 'requires_action'::text) = (action_expires_at IS NOT NULL)))),
  CONSTRAINT jobs_type_check CHECK ((type = 'assistant-reply'::text)),
  CONSTRAINT jobs_chat_id_fkey FOREIGN KEY (chat_id) REFERENCES chats(id),
  CONSTRAINT jobs_user_message FOREIGN KEY (user_message_id) REFERENCES messages(id)
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=50000, vacuum_index_cleanup=on);
CREATE INDEX jobs_age ON jobs USING btree (COALESCE(requeued_at, created_at)) WHERE ((status || ' age'::text) = 'queued age'::text);
CREATE INDEX jobs_by_age ON jobs USING btree (created_at, id);
CREATE INDEX jobs_by_user ON jobs USING btree (user_id, created_at, id);
CREATE INDEX jobs_chat ON jobs USING btree (chat_id, id);
CREATE INDEX jobs_due ON jobs USING btree (available_at) WHERE (status = 'queued'::text);
CREATE INDEX jobs_failed ON jobs USING btree (created_at, id) WHERE (status = 'failed'::text);
CREATE INDEX jobs_in_line ON jobs USING btree (round, id) WHERE ((status || ' line'::text) = 'queued line'::text);
CREATE INDEX jobs_of_budget ON jobs USING btree (budget_of) WHERE ((budget_of IS NOT NULL) AND ((status || ' budget'::text) = ANY (ARRAY['queued budget'::text, 'running budget'::text, 'requires_action budget'::text])));
CREATE INDEX jobs_of_user ON jobs USING btree (user_id, round) WHERE ((status || ' user'::text) = ANY (ARRAY['queued user'::text, 'running user'::text, 'requires_action user'::text]));
CREATE UNIQUE INDEX jobs_one_unfinished ON jobs USING btree (chat_id) WHERE (finished_at IS NULL);
CREATE INDEX jobs_running ON jobs USING btree (id) WHERE (status = 'running'::text);
CREATE INDEX jobs_user_message_id ON jobs USING btree (user_message_id);
CREATE INDEX jobs_waiting ON jobs USING btree (action_expires_at, id) WHERE (status = 'requires_action'::text);

CREATE TABLE messages (
  id uuid NOT NULL,
  chat_id uuid NOT NULL,
  seq integer NOT NULL,
  role text NOT NULL,
  content text NOT NULL,
  status text NOT NULL DEFAULT 'complete'::text,
  metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
  job_id uuid,
  model text,
  stop_reason text,
  input_tokens integer,
  output_tokens integer,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  left_out_by uuid,
  stop_details jsonb,
  usage_estimated boolean NOT NULL DEFAULT false,
  parts jsonb,
  assistant_version integer,
  cache_read_tokens integer,
  cache_write_tokens integer,
  thinking_tokens integer,
  cost numeric,
  CONSTRAINT messages_pkey PRIMARY KEY (id),
  CONSTRAINT messages_one_per_job UNIQUE (job_id),
  CONSTRAINT messages_seq UNIQUE (chat_id, seq),
  CONSTRAINT messages_job_is_assistants CHECK (((role = 'assistant'::text) = (job_id IS NOT NULL))),
  CONSTRAINT messages_role_check CHECK ((role = ANY (ARRAY['system'::text, 'user'::text, 'assistant'::text]))),
  CONSTRAINT messages_seq_check CHECK ((seq >= 1)),
  CONSTRAINT messages_status_check CHECK ((status = ANY (ARRAY['complete'::text, 'incomplete'::text]))),
  CONSTRAINT messages_chat_id_fkey FOREIGN KEY (chat_id) REFERENCES chats(id),
  CONSTRAINT messages_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id)
);

CREATE TABLE model_calls (
  job_id uuid NOT NULL,
  attempt integer NOT NULL,
  model text NOT NULL,
  outcome text NOT NULL DEFAULT 'running'::text,
  error_code text,
  message_id text,
  input_tokens integer,
  output_tokens integer,
  first_text_ms integer,
  started_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  ended_at timestamp(3) with time zone,
  user_id text,
  assistant_slug text,
  estimated boolean NOT NULL DEFAULT false,
  step smallint NOT NULL DEFAULT 1,
  purpose text NOT NULL DEFAULT 'reply'::text,
  cache_read_tokens integer,
  cache_write_5m_tokens integer,
  cache_write_1h_tokens integer,
  thinking_tokens integer,
  server_tools jsonb,
  cost numeric,
  CONSTRAINT model_calls_pkey PRIMARY KEY (job_id, attempt, step),
  CONSTRAINT model_calls_attempt_check CHECK ((attempt >= 1)),
  CONSTRAINT model_calls_ended CHECK (((outcome = 'running'::text) = (ended_at IS NULL))),
  CONSTRAINT model_calls_failed_has_code CHECK (((outcome = 'failed'::text) = (error_code IS NOT NULL))),
  CONSTRAINT model_calls_first_text_ms_check CHECK ((first_text_ms >= 0)),
  CONSTRAINT model_calls_input_tokens_check CHECK ((input_tokens >= 0)),
  CONSTRAINT model_calls_outcome_check CHECK ((outcome = ANY (ARRAY['running'::text, 'completed'::text, 'failed'::text, 'canceled'::text, 'handed_back'::text, 'lost'::text]))),
  CONSTRAINT model_calls_output_tokens_check CHECK ((output_tokens >= 0))
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=50000, vacuum_index_cleanup=on);
CREATE INDEX model_calls_by_day ON model_calls USING btree (started_at);
CREATE INDEX model_calls_by_user ON model_calls USING btree (user_id, started_at);
CREATE INDEX model_calls_running ON model_calls USING btree (started_at) WHERE (ended_at IS NULL);
CREATE TRIGGER model_calls_price BEFORE UPDATE ON model_calls FOR EACH ROW WHEN (((new.ended_at IS NOT NULL) AND ((old.ended_at IS NULL) OR (new.input_tokens IS DISTINCT FROM old.input_tokens) OR (new.output_tokens IS DISTINCT FROM old.output_tokens) OR (new.cache_read_tokens IS DISTINCT FROM old.cache_read_tokens) OR (new.server_tools IS DISTINCT FROM old.server_tools) OR (new.cache_write_5m_tokens IS DISTINCT FROM old.cache_write_5m_tokens) OR (new.cache_write_1h_tokens IS DISTINCT FROM old.cache_write_1h_tokens)))) EXECUTE FUNCTION price_call();

CREATE TABLE model_holds (
  scope text NOT NULL,
  code text NOT NULL,
  message text NOT NULL,
  since timestamp(3) with time zone NOT NULL DEFAULT now(),
  until timestamp(3) with time zone NOT NULL,
  CONSTRAINT model_holds_pkey PRIMARY KEY (scope)
);

CREATE UNLOGGED TABLE open_streams (
  user_id text NOT NULL,
  process uuid NOT NULL,
  streams integer NOT NULL,
  CONSTRAINT open_streams_pkey PRIMARY KEY (user_id, process),
  CONSTRAINT open_streams_streams_check CHECK ((streams >= 0))
);

CREATE TABLE prices (
  model text NOT NULL,
  input numeric NOT NULL,
  output numeric NOT NULL,
  cache_read numeric NOT NULL,
  cache_write_5m numeric NOT NULL,
  cache_write_1h numeric NOT NULL,
  server_tools jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT prices_pkey PRIMARY KEY (model)
);

CREATE TABLE receipts (
  id uuid NOT NULL,
  user_id text,
  begun_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  ended_at timestamp(3) with time zone,
  chats bigint NOT NULL DEFAULT 0,
  messages bigint NOT NULL DEFAULT 0,
  jobs bigint NOT NULL DEFAULT 0,
  idempotency_keys bigint NOT NULL DEFAULT 0,
  CONSTRAINT receipts_pkey PRIMARY KEY (id),
  CONSTRAINT receipts_chats_check CHECK ((chats >= 0)),
  CONSTRAINT receipts_forget CHECK (((user_id IS NULL) = (ended_at IS NOT NULL))),
  CONSTRAINT receipts_idempotency_keys_check CHECK ((idempotency_keys >= 0)),
  CONSTRAINT receipts_jobs_check CHECK ((jobs >= 0)),
  CONSTRAINT receipts_messages_check CHECK ((messages >= 0))
);
CREATE UNIQUE INDEX receipts_open ON receipts USING btree (user_id) WHERE (user_id IS NOT NULL);

CREATE TABLE spending (
  day date NOT NULL,
  assistant_slug text NOT NULL,
  session integer NOT NULL,
  cost numeric NOT NULL,
  CONSTRAINT spending_pkey PRIMARY KEY (day, assistant_slug, session)
) WITH (fillfactor=50);

CREATE TABLE steps (
  job_id uuid NOT NULL,
  step smallint NOT NULL,
  attempt integer NOT NULL,
  content json NOT NULL,
  stop_reason text NOT NULL,
  text text NOT NULL,
  ends_at integer NOT NULL,
  sources jsonb,
  CONSTRAINT steps_pkey PRIMARY KEY (job_id, step),
  CONSTRAINT steps_attempt_check CHECK ((attempt >= 1)),
  CONSTRAINT steps_ends_at_check CHECK ((ends_at >= 0)),
  CONSTRAINT steps_step_check CHECK ((step >= 1)),
  CONSTRAINT steps_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE
);

CREATE UNLOGGED TABLE stream_holders (
  process uuid NOT NULL,
  alive_until timestamp with time zone NOT NULL,
  CONSTRAINT stream_holders_pkey PRIMARY KEY (process)
);

CREATE TABLE summaries (
  chat_id uuid NOT NULL,
  until_seq integer NOT NULL,
  content text NOT NULL,
  model text NOT NULL,
  created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  CONSTRAINT summaries_pkey PRIMARY KEY (chat_id, until_seq),
  CONSTRAINT summaries_until_seq_check CHECK ((until_seq >= 1)),
  CONSTRAINT summaries_chat_id_fkey FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE
);

CREATE TABLE tool_calls (
  id uuid NOT NULL,
  job_id uuid NOT NULL,
  step smallint NOT NULL,
  n smallint NOT NULL,
  provider_id text NOT NULL,
  name text NOT NULL,
  input json NOT NULL,
  status text NOT NULL,
  attempt integer,
  decided_by text,
  reason text,
  result text,
  is_error boolean NOT NULL DEFAULT false,
  created_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  decided_at timestamp(3) with time zone,
  ended_at timestamp(3) with time zone,
  CONSTRAINT tool_calls_pkey PRIMARY KEY (id),
  CONSTRAINT tool_calls_place UNIQUE (job_id, step, n),
  CONSTRAINT tool_calls_ended CHECK ((((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'denied'::text, 'canceled'::text, 'expired'::text])) = (ended_at IS NOT NULL)) AND ((ended_at IS NOT NULL) = (result IS NOT NULL)))),
  CONSTRAINT tool_calls_n_check CHECK ((n >= 1)),
  CONSTRAINT tool_calls_status_check CHECK ((status = ANY (ARRAY['awaiting_approval'::text, 'awaiting_result'::text, 'queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'denied'::text, 'canceled'::text, 'expired'::text]))),
  CONSTRAINT tool_calls_step_check CHECK ((step >= 1)),
  CONSTRAINT tool_calls_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE
);
CREATE INDEX tool_calls_open ON tool_calls USING btree (job_id) WHERE (ended_at IS NULL);

CREATE OR REPLACE FUNCTION assistant_usage(of_assistant text, OUT cost numeric, OUT reserved_cost numeric)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
     SELECT (SELECT coalesce(sum(s.cost), 0) FROM spending s
              WHERE s.day = (this_day() AT TIME ZONE 'UTC')::date AND s.assistant_slug = of_assistant),
            (SELECT coalesce(sum(CASE WHEN j.attempts = 0 THEN j.reserved_cost ELSE greatest(0, j.reserved_cost - (
                      SELECT its.cost FROM job_usage(j.id, j.attempts, coalesce(j.requeued_at, j.created_at)) its)) END), 0)
               FROM jobs j
              WHERE j.budget_of = of_assistant AND (j.status || ' budget') IN ('queued budget', 'running budget', 'requires_action budget'))
   $function$;

CREATE OR REPLACE FUNCTION close_streams(of_users text[], closed integer[], by_process uuid)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
      BEGIN
        UPDATE open_streams s SET streams = greatest(0, s.streams - c.gone)
          FROM unnest(of_users, closed) AS c (user_id, gone)
         WHERE s.process = by_process AND s.user_id = c.user_id;
        DELETE FROM open_streams s WHERE s.process = by_process AND s.user_id = ANY (of_users) AND s.streams = 0;
      END $function$;

CREATE OR REPLACE FUNCTION job_usage(of_job uuid, attempts integer, since timestamp with time zone)
 RETURNS TABLE(tokens bigint, cost numeric)
 LANGUAGE sql
 STABLE
AS $function$
     SELECT coalesce(sum(coalesce(e.input_tokens, 0) + coalesce(e.output_tokens, 0)), 0)::bigint, coalesce(sum(e.cost), 0) FROM model_calls e
      WHERE attempts > 0 AND e.job_id = of_job AND e.started_at >= greatest(since, this_day())
   $function$;

CREATE OR REPLACE FUNCTION keep_assistant_version()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
   BEGIN
     INSERT INTO assistant_versions (slug, version, definition)
     VALUES (NEW.slug, NEW.version, to_jsonb(NEW) - ARRAY['slug', 'version', 'retired_at'])
     ON CONFLICT DO NOTHING;
     RETURN NULL;
   END $function$;

CREATE OR REPLACE FUNCTION keep_turn(of_job uuid, message_id uuid, said text, last_text text, last_sources jsonb, by_model text, reason_to_stop text, completeness text, details jsonb, leave_out boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
   DECLARE
     job jobs;
     chat chats;
     parts jsonb;
     used record;
     context integer;
   BEGIN
     SELECT * INTO job FROM jobs WHERE id = of_job;
     PERFORM settle_tool_calls(of_job, job.status, job.error_code);
     IF job.status = 'succeeded' OR job.status = 'canceled' AND said ~ '[^[:space:]]' OR EXISTS (SELECT FROM tool_calls c WHERE c.job_id = of_job) THEN
       parts := reply_parts(of_job, job.step + 1, last_text, last_sources);
       -- An operator who puts a job back begins its steps anew.
       SELECT sum(e.input_tokens) AS input, sum(e.output_tokens) AS output, bool_or(e.estimated) AS guessed,
              sum(e.cache_read_tokens) AS cache_read, sum(e.thinking_tokens) AS thinking, sum(e.cost) AS cost,
              sum(e.cache_write_5m_tokens + e.cache_write_1h_tokens) AS cache_write INTO used FROM model_calls e
        WHERE e.job_id = of_job AND e.step > 0 AND e.started_at >= coalesce(job.requeued_at, job.created_at)
          AND (e.step <= job.step AND e.outcome = 'completed' OR e.step = job.step + 1 AND e.attempt = job.attempts);
       -- The prompt after the last finished step, without the thoughts of the steps, which later prompts do not have; and its answer's text.
       SELECT e.input_tokens - coalesce(used.thinking, 0) + coalesce(e.thinking_tokens, 0)
              + CASE WHEN leave_out OR job.status = 'failed' THEN 0 ELSE coalesce(e.output_tokens, 0) - coalesce(e.thinking_tokens, 0) END
         INTO context FROM model_calls e
        WHERE e.job_id = of_job AND e.step = job.step + 1 AND e.attempt = job.attempts AND e.message_id IS NOT NULL AND e.input_tokens > 0;
       UPDATE chats c SET last_seq = last_seq + 1, last_message_at = greatest(last_message_at, clock_timestamp()),
                          window_from_seq = coalesce(nullif(job.window_from_seq, 1), c.window_from_seq),
                          -- Null: not known. If later prompts leave the turn out and begin where they did, what was counted before it counts.
                          context_tokens = CASE WHEN leave_out AND coalesce(job.window_from_seq, 1) IN (1, coalesce(c.window_from_seq, 1))
                                                THEN c.context_tokens ELSE context END
        WHERE id = job.chat_id RETURNING * INTO chat;
       INSERT INTO messages (id, chat_id, seq, role, content, parts, job_id, model, assistant_version, stop_reason, status, stop_details,
                             left_out_by, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, thinking_tokens, cost,
                             usage_estimated, created_at)
       SELECT coalesce(message_id, new_id()), chat.id, chat.last_seq, 'assistant', said, parts, of_job,
              coalesce(by_model, (SELECT a.model FROM assistant_versions a WHERE a.slug = chat.assistant_slug AND a.version = job.assistant_version)),
              job.assistant_version, reason_to_stop, completeness, details, CASE WHEN leave_out THEN of_job END,
              coalesce(used.input, 0), coalesce(used.output, 0), used.cache_read, used.cache_write, used.thinking, used.cost,
              coalesce(used.guessed, false), chat.last_message_at;
     END IF;
     DELETE FROM steps s WHERE s.job_id = of_job;
     DELETE FROM draft_parts d WHERE d.job_id = of_job;
   END $function$;

CREATE OR REPLACE FUNCTION new_id()
 RETURNS uuid
 LANGUAGE sql
AS $function$
     SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
             || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
   $function$;

CREATE OR REPLACE FUNCTION next_place(of_user text, most integer, OUT round integer, OUT unfinished integer)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
   DECLARE
     head integer;
     mine integer;
   BEGIN
     SELECT count(*) INTO unfinished FROM (
       SELECT FROM jobs j WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user') LIMIT most
     ) j;
     SELECT j.round INTO mine FROM jobs j
      WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user') ORDER BY j.round DESC LIMIT 1;
     SELECT j.round INTO head FROM jobs j WHERE (j.status || ' line') = 'queued line' ORDER BY j.round, j.id LIMIT 1;
     -- Null is passed over.
     round := greatest(head, mine + 1, 0);
   END $function$;

CREATE OR REPLACE FUNCTION open_stream(of_user text, by_process uuid, most integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
      END $function$;

CREATE OR REPLACE FUNCTION price_call()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
   DECLARE
     p prices;
     cached integer;
     more numeric;
   BEGIN
     SELECT * INTO p FROM prices WHERE model = NEW.model;
     IF NOT FOUND THEN
       RETURN NEW;
     END IF;
     cached := coalesce(NEW.cache_read_tokens, 0) + coalesce(NEW.cache_write_5m_tokens, 0) + coalesce(NEW.cache_write_1h_tokens, 0);
     -- A product is exact, and a quotient would be rounded.
     NEW.cost := (greatest(coalesce(NEW.input_tokens, 0) - cached, 0) * p.input + coalesce(NEW.output_tokens, 0) * p.output
                  + coalesce(NEW.cache_read_tokens, 0) * p.cache_read + coalesce(NEW.cache_write_5m_tokens, 0) * p.cache_write_5m
                  + coalesce(NEW.cache_write_1h_tokens, 0) * p.cache_write_1h) * 0.000001;
     IF NEW.server_tools IS NOT NULL THEN
       NEW.cost := NEW.cost + coalesce((SELECT sum(t.value::numeric * coalesce((p.server_tools ->> t.key)::numeric, 0))
                                          FROM jsonb_each_text(NEW.server_tools) t), 0);
     END IF;
     more := NEW.cost - coalesce(OLD.cost, 0);
     IF more <> 0 AND NEW.assistant_slug IS NOT NULL THEN
       INSERT INTO spending AS s (day, assistant_slug, session, cost)
       VALUES ((NEW.started_at AT TIME ZONE 'UTC')::date, NEW.assistant_slug, pg_backend_pid(), more)
       ON CONFLICT (day, assistant_slug, session) DO UPDATE SET cost = s.cost + excluded.cost;
     END IF;
     RETURN NEW;
   END $function$;

CREATE OR REPLACE FUNCTION prompt_tokens(of_chat uuid)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
     SELECT coalesce(c.context_tokens, (v.prompt_bytes + v.tool_bytes) / 4) + (
       SELECT coalesce(sum(octet_length(later.content)), 0) / 4 FROM (
         SELECT m.content FROM messages m
          WHERE m.chat_id = c.id AND m.role IN ('user', 'assistant')
            AND m.seq > CASE WHEN c.context_tokens IS NULL THEN 0 ELSE coalesce((
              SELECT r.seq FROM messages r WHERE r.chat_id = c.id AND r.role = 'assistant' ORDER BY r.seq DESC LIMIT 1), 0) END
          ORDER BY m.seq DESC LIMIT 400) later)
       FROM chats c JOIN assistants a ON a.slug = c.assistant_slug
       JOIN assistant_versions v ON v.slug = a.slug AND v.version = a.version
      WHERE c.id = of_chat
   $function$;

CREATE OR REPLACE FUNCTION reply_parts(of_job uuid, last_step integer, last_text text, last_sources jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
     SELECT CASE WHEN bool_or(kind <> 2) AND bool_or(kind = 4 OR kind = 2 AND part ->> 'text' ~ '[^[:space:]]')
                 THEN jsonb_agg(part ORDER BY step, kind, n) END FROM (
       SELECT s.step, 2 AS kind, 0 AS n, jsonb_build_object('type', 'text', 'text', s.text) AS part FROM steps s
        WHERE s.job_id = of_job AND s.text <> ''
       UNION ALL
       SELECT s.step, CASE other.part ->> 'type' WHEN 'reasoning' THEN 1 ELSE 3 END, other.n::int, other.part
         FROM steps s, jsonb_array_elements(s.sources) WITH ORDINALITY AS other (part, n)
        WHERE s.job_id = of_job
       UNION ALL
       SELECT c.step, 4, c.n, jsonb_build_object('type', 'tool_call', 'tool_call', tool_call_json(c)) FROM tool_calls c WHERE c.job_id = of_job
       UNION ALL
       SELECT last_step, 2, 0, jsonb_build_object('type', 'text', 'text', last_text) WHERE last_text <> ''
       UNION ALL
       SELECT last_step, CASE other.part ->> 'type' WHEN 'reasoning' THEN 1 ELSE 3 END, other.n::int, other.part
         FROM jsonb_array_elements(last_sources) WITH ORDINALITY AS other (part, n)
     ) parts
   $function$;

CREATE OR REPLACE FUNCTION reserve_turn(of_user text, in_chat uuid, more_bytes integer, tokens_per_day bigint, cost_per_day numeric, OUT tokens bigint, OUT cost numeric, OUT of_assistant text, OUT exhausted text, OUT by_reserves boolean)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
   DECLARE
     a record;
     used record;
     prompt bigint;
   BEGIN
     SELECT s.slug, s.cost_per_day AS budget, s.max_output_tokens AS most, s.model, s.fallback_model, s.cache_ttl INTO a
       FROM chats c JOIN assistants s ON s.slug = c.assistant_slug WHERE c.id = in_chat;
     IF tokens_per_day IS NULL AND cost_per_day IS NULL AND a.budget IS NULL THEN
       RETURN;
     END IF;
     prompt := prompt_tokens(in_chat) + more_bytes / 4;
     IF tokens_per_day IS NOT NULL THEN
       tokens := prompt + a.most;
     END IF;
     IF cost_per_day IS NOT NULL OR a.budget IS NOT NULL THEN
       -- As if the cache had nothing, and all were written to it.
       SELECT max(prompt * greatest(p.input, CASE a.cache_ttl WHEN '1h' THEN p.cache_write_1h ELSE p.cache_write_5m END) + a.most * p.output)
              / 1000000 INTO cost
         FROM prices p WHERE p.model IN (a.model, a.fallback_model);
     END IF;
     IF tokens_per_day IS NOT NULL OR cost_per_day IS NOT NULL THEN
       SELECT * INTO used FROM user_usage(of_user);
       exhausted := CASE WHEN used.tokens + used.reserved_tokens >= tokens_per_day THEN 'user_tokens'
                         WHEN used.cost + used.reserved_cost >= cost_per_day THEN 'user_cost' END;
       by_reserves := CASE exhausted WHEN 'user_tokens' THEN used.tokens < tokens_per_day WHEN 'user_cost' THEN used.cost < cost_per_day END;
     END IF;
     IF exhausted IS NULL AND a.budget IS NOT NULL THEN
       of_assistant := a.slug;
       -- A budget that is spent keeps nobody waiting.
       IF a.budget <= (SELECT sum(s.cost) FROM spending s WHERE s.day = (this_day() AT TIME ZONE 'UTC')::date AND s.assistant_slug = a.slug) THEN
         exhausted := 'assistant_cost';
         by_reserves := false;
         RETURN;
       END IF;
       -- Turns with one assistant are accepted one after the other. This is the last lock before the commit.
       PERFORM pg_advisory_xact_lock(hashtextextended('budget:' || a.slug, 0));
       SELECT * INTO used FROM assistant_usage(a.slug);
       IF used.cost + used.reserved_cost >= a.budget THEN
         exhausted := 'assistant_cost';
         by_reserves := used.cost < a.budget;
       END IF;
     END IF;
   END $function$;

CREATE OR REPLACE FUNCTION settle_tool_calls(of_job uuid, job_status text, job_error text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
   DECLARE
     final text := CASE WHEN job_status = 'canceled' THEN 'canceled' WHEN job_error IN ('expired', 'action_expired') THEN 'expired' ELSE 'failed' END;
     words text := CASE final WHEN 'canceled' THEN 'The user canceled the turn' WHEN 'expired' THEN 'The time of the turn was over'
                              ELSE 'The turn failed' END;
   BEGIN
     UPDATE tool_calls c SET status = final, is_error = true, ended_at = clock_timestamp(),
            result = CASE WHEN c.status = 'running' THEN words || ' while this tool ran. It is not known whether the call took effect.'
                          ELSE words || ' before this tool ran. The call had no effect.' END
      WHERE c.job_id = of_job AND c.ended_at IS NULL;
   END $function$;

CREATE OR REPLACE FUNCTION this_day()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
     SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
   $function$;

CREATE OR REPLACE FUNCTION tool_call_json(c tool_calls)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
     SELECT jsonb_build_object('id', c.id, 'step', c.step, 'name', c.name, 'input', c.input, 'status', c.status, 'result', c.result,
       'is_error', c.is_error, 'reason', c.reason,
       'created_at', to_char(c.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       'decided_at', to_char(c.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       'ended_at', to_char(c.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
   $function$;

CREATE OR REPLACE FUNCTION unreported_input(of_job uuid, in_chat uuid)
 RETURNS integer
 LANGUAGE sql
 STABLE
AS $function$
     SELECT coalesce((
       SELECT e.input_tokens + coalesce(e.output_tokens, 0) FROM model_calls e
        WHERE e.job_id = of_job AND e.step > 0 AND e.outcome = 'completed' ORDER BY e.attempt DESC, e.step DESC LIMIT 1
     ), prompt_tokens(in_chat))::integer
   $function$;

CREATE OR REPLACE FUNCTION user_usage(of_user text, OUT tokens bigint, OUT cost numeric, OUT reserved_tokens bigint, OUT reserved_cost numeric)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
     SELECT spent.tokens, spent.cost, reserved.tokens, reserved.cost
       FROM (SELECT coalesce(sum(coalesce(e.input_tokens, 0) + coalesce(e.output_tokens, 0)), 0)::bigint AS tokens, coalesce(sum(e.cost), 0) AS cost
               FROM model_calls e WHERE e.user_id = of_user AND e.started_at >= this_day()) spent,
            (SELECT coalesce(sum(greatest(j.reserved_tokens - its.tokens, 0)), 0)::bigint AS tokens,
                    coalesce(sum(greatest(j.reserved_cost - its.cost, 0)), 0) AS cost
               FROM jobs j CROSS JOIN LATERAL job_usage(j.id, j.attempts, coalesce(j.requeued_at, j.created_at)) its
              WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user')) reserved
   $function$;
