import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { BedrockDoor } from '../support/bedrock-door.js';
import type { Client } from '../support/client.js';
import { shippedFiles } from '../support/dockerfile.js';
import { Pace } from '../support/pace.js';
import { type App, startProcess } from '../support/processes.js';
import type { ProviderDoor } from '../support/provider-door.js';
import { Proxy } from '../support/proxy.js';
import { type Stack, startStack } from '../support/stack.js';
import { clientTool } from '../support/tools.js';
import { until } from '../support/until.js';
import { VertexDoor } from '../support/vertex-door.js';

const REGION = 'eu-west-1';
const PROJECT = 'example-project';
const KEYS = { accessKeyId: 'AKIDCANARY', secretAccessKey: 'secret-canary-qpxz' };

/** Sent to no provider but Anthropic, and written to no log. */
const KEY = 'sk-ant-canary-qpxz';

const about = { name: 'A', description: 'D', system_prompt: 'You help.', welcome_message: 'Hello.' };
const pickDate = { ...clientTool('pick_date'), result_max_bytes: undefined };
const ASSISTANTS = {
  assistants: [
    { ...about, slug: 'bedrock', model: 'eu.anthropic.claude-haiku-4-5-20251001-v1:0', tools: [pickDate] },
    {
      ...about,
      slug: 'profile',
      model: `arn:aws:bedrock:${REGION}:123456789012:inference-profile/eu.anthropic.claude-sonnet-5-5`,
    },
    { ...about, slug: 'unknown', model: 'claude-sonnet-5-5' },
    { ...about, slug: 'vertex', model: 'claude-haiku-4-5@20251001', tools: [pickDate] },
  ],
};

/** The environment of a machine without any configuration of AWS or Google. */
const BARE = { HOME: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true', LOG_FORMAT: 'json', LOG_LEVEL: 'trace' };

describe('a worker with another provider of the model', () => {
  let home: string;
  let stack: Stack;
  let doors: ProviderDoor[] = [];
  let workers: App[] = [];
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-providers-'));
    const ASSISTANTS_FILE = join(home, 'assistants.yaml');
    await writeFile(ASSISTANTS_FILE, stringify(ASSISTANTS));
    stack = await startStack({ workers: 0, env: { ASSISTANTS_FILE } });
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(home, { recursive: true, force: true });
  });
  afterEach(async () => {
    await stack.model.reset();
    await Promise.all([...workers, ...doors].map((part) => part.stop()));
    [workers, doors] = [[], []];
  });

  const worker = async (env: Record<string, string>): Promise<App> => {
    const started = await stack.startWorker({ ...BARE, ANTHROPIC_API_KEY: KEY, ...env });
    workers.push(started);
    return started;
  };
  const bedrock = async (env: Record<string, string> = {}): Promise<{ door: BedrockDoor; app: App }> => {
    const door = await BedrockDoor.start(stack.model.url, { region: REGION, keys: KEYS });
    doors.push(door);
    const app = await worker({
      MODEL_PROVIDER: 'bedrock',
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      ANTHROPIC_BASE_URL: door.url,
      ...env,
    });
    return { door, app };
  };
  const vertex = async (env: Record<string, string> = {}): Promise<{ door: VertexDoor; app: App }> => {
    const door = await VertexDoor.start(stack.model.url, { region: REGION, project: PROJECT });
    doors.push(door);
    const app = await worker({
      MODEL_PROVIDER: 'vertex',
      CLOUD_ML_REGION: REGION,
      ANTHROPIC_VERTEX_PROJECT_ID: PROJECT,
      ANTHROPIC_BASE_URL: door.url,
      ...door.environment,
      ...env,
    });
    return { door, app };
  };
  const kinds = [
    ['bedrock', bedrock],
    ['vertex', vertex],
  ] as const;
  const cancel = (ana: Client, id: string) => ana.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
  const user = (): Client => stack.as(`ana-${crypto.randomUUID()}`);

  it.each(kinds)('answers turns, with the tools of several steps: %s', async (name, start) => {
    const { door, app } = await start();
    const ana = user();
    const chat = await ana.chat(name);
    await stack.model.script('hello there', { pieces: ['Größe ', '& ', '中文'] });
    const { status, body } = await ana.turn(chat.id, 'hello there');
    expect([status, body.assistant_message]).toEqual([
      200,
      expect.objectContaining({ content: 'Größe & 中文', status: 'complete' }),
    ]);

    const waiting = await ana.finalJob((await ana.turnAsync(chat.id, 'use pick_date')).id);
    expect(waiting.status).toBe('requires_action');
    const [call] = waiting.required_action?.tool_calls ?? [];
    await ana.patch(`/api/v1/jobs/${waiting.id}/tool-calls/${call?.id}`, { result: { content: '2026-11-30' } });
    const ended = await ana.finalJob(waiting.id);
    expect(ended).toMatchObject({
      status: 'succeeded',
      assistant_message: { content: expect.stringContaining('2026-11-30') },
    });

    const { rows } = await stack.database.query(
      `SELECT outcome, input_tokens > 0 AS "input", output_tokens > 0 AS "output", estimated FROM model_calls WHERE job_id = $1`,
      [waiting.id],
    );
    expect(rows).toEqual(Array(2).fill({ outcome: 'completed', input: true, output: true, estimated: false }));
    // Neither the key of Anthropic nor the secret went out, and the log has neither.
    expect(door.bodies.length).toBeGreaterThanOrEqual(3);
    expect(JSON.stringify(door.seen.map(({ headers, body }) => [headers, body.toString()]))).not.toContain('qpxz');
    expect(app.output()).not.toMatch(/qpxz|ya29|x-amz-security-token/);
    for (const line of app.output().trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow();
    // No provider is asked for a list of models.
    expect(app.output()).not.toContain('list its models');
    const ready = await fetch(new URL('/health/ready', app.url));
    expect([ready.status, await ready.json()]).toEqual([
      200,
      expect.objectContaining({ model: { checked_at: null, findings: [] } }),
    ]);
  });

  it.each(kinds)('tries a throttled turn again, and tells why: %s', async (name, start) => {
    const { app } = await start();
    const ana = user();
    await stack.model.script(
      'too many',
      { status: 429, error_type: 'rate_limit_error', message: 'Too many tokens.' },
      1,
    );
    const job = await ana.finalJob((await ana.turnAsync((await ana.chat(name)).id, 'too many')).id);
    expect(job).toMatchObject({ status: 'succeeded', attempts: 2 });
    const failed =
      app
        .output()
        .split('\n')
        .find((line) => line.includes('attempt failed')) ?? '{}';
    expect(JSON.parse(failed)).toMatchObject({ code: 'model_unavailable' });
    expect(failed).toMatch(name === 'bedrock' ? /ThrottlingException.*"aws-1"/ : /RESOURCE_EXHAUSTED/);
  });

  it.each(kinds)('begins a reply again that broke off: %s', async (name, start) => {
    await start();
    const ana = user();
    const id = (await ana.chat(name)).id;
    const pieces = ['one ', 'two ', 'three'];
    await stack.model.script('cut off', { pieces, cut_after: 2 }, 1);
    await stack.model.script('cut off', { pieces });
    const cut = await ana.finalJob((await ana.turnAsync(id, 'cut off')).id);
    expect(cut).toMatchObject({ status: 'succeeded', attempts: 2, assistant_message: { content: 'one two three' } });
    // An error within the stream.
    await stack.model.script('overloaded', { pieces, error_event_after: 1, error_type: 'overloaded_error' }, 1);
    await stack.model.script('overloaded', { pieces });
    const broken = await ana.finalJob((await ana.turnAsync(id, 'overloaded')).id);
    expect(broken).toMatchObject({ status: 'succeeded', attempts: 2, assistant_message: { content: 'one two three' } });
  });

  it.each(kinds)('counts pings as life, and gives up a silent model: %s', async (name, start) => {
    await start({ MODEL_IDLE_SECONDS: '1', MODEL_TOTAL_SECONDS: '4' });
    const ana = user();
    const id = (await ana.chat(name)).id;
    await stack.model.script('falls silent', { pieces: ['one ', 'two'], stall_after: 1 }, 1);
    await stack.model.script('falls silent', { pieces: ['one ', 'two'] });
    const silent = await ana.finalJob((await ana.turnAsync(id, 'falls silent')).id);
    expect(silent).toMatchObject({ status: 'succeeded', attempts: 2 });
    // Only pings come, for longer than a silence may last: the whole time of a call ends it.
    await stack.model.script('only pings', { pieces: ['one'], ping_after: 0 }, 1);
    await stack.model.script('only pings', { pieces: ['one'] });
    const begun = Date.now();
    const pinged = await ana.finalJob((await ana.turnAsync(id, 'only pings')).id);
    expect(pinged).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(Date.now() - begun).toBeGreaterThan(3_900);
  });

  it.each(kinds)('ends a canceled call within a second: %s', async (name, start) => {
    await start();
    const ana = user();
    await stack.model.script('on and on', { pieces: ['on '], repeat: 10_000, piece_delay_ms: 50 });
    const job = await ana.turnAsync((await ana.chat(name)).id, 'on and on');
    await until(async () => (await stack.model.calls('on and on')).length > 0, 'the call');
    const pace = await Pace.watch();
    const begun = Date.now();
    expect((await cancel(ana, job.id)).status).toBe(200);
    await until(async () => (await stack.model.calls('on and on'))[0]?.ended_at !== null, 'the end of the call');
    expect(Date.now() - begun).toBeLessThan(pace.bound(1_000));
  });

  it('takes the ARN of an inference profile; another model’s name waits for an operator', async () => {
    await bedrock();
    const ana = user();
    expect((await ana.turn((await ana.chat('profile')).id, 'hello')).status).toBe(200);
    const job = await ana.turnAsync((await ana.chat('unknown')).id, 'hello');
    const ready = async () => (await (await fetch(new URL('/health/ready', stack.api.url))).json()) as any;
    expect(await until(async () => (await ready()).checks.model === 'model_misconfigured', 'the hold')).toBe(true);
    expect((await ana.get(`/api/v1/jobs/${job.id}`)).body).toMatchObject({ status: 'queued' });
    expect((await cancel(ana, job.id)).status).toBe(200);
  });

  it('signs calls that go through HTTP_PROXY to a name that only the proxy knows', async () => {
    const door = await BedrockDoor.start(stack.model.url, { region: REGION, keys: KEYS });
    const between = await Proxy.start(door.port);
    doors.push(door);
    try {
      await worker({
        MODEL_PROVIDER: 'bedrock',
        AWS_REGION: REGION,
        AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
        ANTHROPIC_BASE_URL: 'http://bedrock.example:8000',
        HTTP_PROXY: `127.0.0.1:${between.port}`,
      });
      const ana = user();
      expect((await ana.turn((await ana.chat('bedrock')).id, 'hello')).status).toBe(200);
      expect(between.asked).toEqual([expect.stringMatching(/^POST http:\/\/bedrock\.example:8000\/model\//)]);
    } finally {
      await between.stop();
    }
  });

  it.each([
    ['MODEL_PROVIDER', { MODEL_PROVIDER: 'azure' }],
    ['AWS_REGION', { MODEL_PROVIDER: 'bedrock' }],
    ['CLOUD_ML_REGION', { MODEL_PROVIDER: 'vertex', ANTHROPIC_VERTEX_PROJECT_ID: PROJECT }],
    ['ANTHROPIC_VERTEX_PROJECT_ID', { MODEL_PROVIDER: 'vertex', CLOUD_ML_REGION: REGION }],
  ])('does not start without %s', async (name, env) => {
    const words = await worker(env as Record<string, string>).then(
      () => 'It started.',
      (error: Error) => error.message,
    );
    expect(words).toContain(`- ${name} `);
    expect(words).not.toContain('qpxz');
  });

  it('loads the client of another provider only if it is asked to', async () => {
    const image = join(home, 'image');
    for (const part of shippedFiles()) await cp(part, join(image, part), { recursive: true });
    for (const name of ['bedrock', 'vertex']) await rm(join(image, `dist/bin/${name}.js`));
    const env = { DATABASE_URL: stack.databaseUrl, ...BARE, ...(stack.redis && { REDIS_URL: stack.redis.url }) };
    const app = await startProcess(
      'worker',
      { ...env, ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: stack.model.url },
      image,
    );
    workers.push(app);
    const ana = user();
    expect((await ana.turn((await ana.chat('unknown')).id, 'hello')).status).toBe(200);
    const asked = startProcess('worker', { ...env, MODEL_PROVIDER: 'bedrock', AWS_REGION: REGION }, image);
    await expect(asked).rejects.toThrow(/ERR_MODULE_NOT_FOUND|bedrock\.js/);
  });
});
