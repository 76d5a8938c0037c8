import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

describe('a definition that changes', () => {
  let stack: Stack;
  let ops: Client;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    stack = await startStack({
      env: { ASSISTANTS_FILE: await definition('first', { system_prompt: 'You are one.' }) },
    });
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
  });
  afterAll(async () => {
    await stopSound(stack);
    await rm(folder, { recursive: true });
  });

  /** An assistants file with one assistant. */
  const definition = async (name: string, fields: object): Promise<string> => {
    const texts = {
      name: 'S',
      description: 'D',
      welcome_message: 'Hi',
      system_prompt: 'P',
      model: 'claude-sonnet-5-5',
    };
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, JSON.stringify({ assistants: [{ slug: 'support', ...texts, ...fields }] }));
    return file;
  };
  /** An API loads the file when it starts. */
  const load = async (name: string, fields: object): Promise<void> => {
    await (await stack.startApi({ ASSISTANTS_FILE: await definition(name, fields) })).stop();
  };
  const pause = (paused: boolean): Promise<unknown> => ops.patch('/api/v1/admin/dispatch', { paused });
  const promptOf = async (text: string): Promise<unknown> => (await stack.model.calls(text))[0]?.system;

  it('answers no turn that was accepted before; job and message tell the version', async () => {
    await pause(true);
    const ana = stack.as('ana');
    const before = await ana.turnAsync((await ana.chat()).id, 'accepted before');
    expect(before.assistant_version).toBe(1);
    await load('second', { system_prompt: 'You are two.' });
    const bob = stack.as('bob');
    const after = await bob.turnAsync((await bob.chat()).id, 'accepted after');
    expect(after.assistant_version).toBe(2);
    await pause(false);
    expect(await ana.finalJob(before.id)).toMatchObject({
      assistant_version: 1,
      assistant_message: { assistant_version: 1 },
    });
    expect(await bob.finalJob(after.id)).toMatchObject({
      assistant_version: 2,
      assistant_message: { assistant_version: 2 },
    });
    expect(await promptOf('accepted before')).toMatchObject([{ text: 'You are one.' }]);
    expect(await promptOf('accepted after')).toMatchObject([{ text: 'You are two.' }]);
    expect((await ops.get(`/api/v1/admin/jobs/${before.id}`)).body.assistant_version).toBe(1);
    const next = await ana.turn(before.chat_id, 'the next one');
    expect(next.body.assistant_message.assistant_version).toBe(2);
  });

  it('answers the same turn on every attempt', async () => {
    const cem = stack.as('cem');
    await stack.model.script('twice', { hang_before_headers: true }, 1);
    const { id } = await cem.turnAsync((await cem.chat()).id, 'twice');
    await until(async () => (await stack.model.calls('twice')).length === 1, 'the first call');
    await load('third', { system_prompt: 'You are three.' });
    await stack.workers[0]?.kill();
    stack.workers.push(await stack.startWorker());
    expect(await cem.finalJob(id)).toMatchObject({ attempts: 2, assistant_version: 2 });
    const calls = await stack.model.calls('twice');
    expect(calls.map(({ system }) => system)).toEqual([calls[0]?.system, calls[0]?.system]);
  });

  it('answers the turns that wait because the former one cannot be used', async () => {
    await load('wrong', { model: 'claude-of-nobody' });
    const users = ['dan', 'eva', 'fay'].map((name) => stack.as(name));
    const jobs = await Promise.all(
      users.map(async (user) => user.turnAsync((await user.chat()).id, `held ${user.token}`)),
    );
    const held = async (): Promise<boolean> => {
      const { rows } = await stack.database.query(`SELECT FROM model_holds WHERE scope = 'model:claude-of-nobody'`);
      return rows.length > 0;
    };
    await until(held, 'the hold');
    await load('right', { system_prompt: 'You are five.' });
    const ended = await Promise.all(users.map((user, n) => user.finalJob(jobs[n]?.id ?? '')));
    expect(ended.map(({ status, assistant_version }) => [status, assistant_version])).toEqual(
      Array(3).fill(['succeeded', 5]),
    );
  });

  it('answers a failed turn that an operator puts back', async () => {
    const gil = stack.as('gil');
    await stack.model.script('put back', { status: 400, error_type: 'invalid_request_error' }, 1);
    const { id } = await gil.turnAsync((await gil.chat()).id, 'put back');
    expect(await gil.finalJob(id)).toMatchObject({ status: 'failed', assistant_version: 5 });
    await load('sixth', { system_prompt: 'You are six.' });
    expect((await ops.patch(`/api/v1/admin/jobs/${id}`, { status: 'queued' })).status).toBe(200);
    expect(await gil.finalJob(id)).toMatchObject({ status: 'succeeded', assistant_version: 6 });
  });
});
