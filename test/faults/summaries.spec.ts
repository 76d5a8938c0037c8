import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerOf } from '../support/ledger.js';
import type { SeenCall } from '../support/model-stub.js';
import { Pace } from '../support/pace.js';
import { continues, sumsUp, textsOf } from '../support/prompts.js';
import { type Stack, startStack } from '../support/stack.js';
import { expectSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const LIMIT = 3_000;

/** The summariser begins to answer, and says nothing more. */
const STALLS = { text: 'x', stall_after: 0 };

describe('a summary that is interrupted', () => {
  let stack: Stack;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    const file = join(folder, 'assistants.yaml');
    const texts = { name: 'S', description: 'D', system_prompt: 'You are brief.', welcome_message: 'Hello' };
    const settings = { model: 'm', context_tokens: LIMIT, max_output_tokens: 1_000, compaction: 'summary' };
    await writeFile(file, JSON.stringify({ assistants: [{ slug: 'sums-up', ...texts, ...settings }] }));
    stack = await startStack({ env: { ASSISTANTS_FILE: file, WORKER_DRAIN_SECONDS: '1' } });
  });
  afterAll(async () => {
    await stack.stop();
    await rm(folder, { recursive: true });
  });

  /** Makes a user's chat whose next turn moves its window. The summariser's prompt has the words `NAME question 2`. */
  const full = async (name: string): Promise<string> => {
    const client = stack.as(name);
    const { id } = await client.chat('sums-up');
    for (let n = 1; n <= 6; n++) expect((await client.turn(id, `${name} question ${n}`)).status).toBe(200);
    await stack.database.query('UPDATE chats SET context_tokens = $2 WHERE id = $1', [id, LIMIT - 1]);
    return id;
  };
  const callsOf = async (name: string): Promise<SeenCall[]> =>
    (await stack.model.allCalls()).filter(
      (call) => sumsUp(call) && textsOf(call).join().includes(`${name} question 2`),
    );
  const begun = (name: string, count = 1): Promise<unknown> =>
    until(
      async () =>
        (await callsOf(name)).filter(({ outcome }) => outcome === 'running').length > 0 &&
        (await callsOf(name)).length >= count,
      `summary ${count} of ${name}`,
    );
  const lines = async (jobId: string): Promise<unknown[]> =>
    (await ledgerOf(stack, jobId)).map(({ attempt, step, outcome }) => `${attempt}.${step} ${outcome}`);
  const summariesOf = async (chatId: string): Promise<{ until_seq: number; window_from_seq: number }[]> =>
    (
      await stack.database.query(
        'SELECT until_seq, window_from_seq FROM summaries JOIN chats ON chats.id = chat_id WHERE chat_id = $1',
        [chatId],
      )
    ).rows;
  const replace = async (): Promise<void> => {
    stack.workers.push(await stack.startWorker());
  };

  it('by a cancel ends within a second, and the next turn makes it anew', async () => {
    const [ann, chatId] = [stack.as('ann'), await full('ann')];
    await stack.model.script('ann question 2', STALLS, 1);
    const job = await ann.turnAsync(chatId, 'ann changes her mind');
    await begun('ann');
    const pace = await Pace.watch();
    const began = performance.now();
    const { body } = await ann.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    await until(async () => (await callsOf('ann'))[0]?.outcome === 'client_closed', 'the end of the call');
    expect(performance.now() - began).toBeLessThan(pace.bound(1_000));
    expect(body).toMatchObject({ status: 'canceled', assistant_message: null });
    await until(async () => (await lines(job.id)).every((line) => !String(line).includes('running')), 'the ledger');
    expect(await lines(job.id)).toEqual(['1.0 canceled', '1.1 canceled']);
    expect(await summariesOf(chatId)).toEqual([]);

    expect((await ann.turn(chatId, 'ann goes on')).status).toBe(200);
    expect(await summariesOf(chatId)).toHaveLength(1);
  });

  it('by a worker that stops is handed back, and made by the next worker', async () => {
    const [cleo, chatId] = [stack.as('cleo'), await full('cleo')];
    await stack.model.script('cleo question 2', STALLS, 1);
    const job = await cleo.turnAsync(chatId, 'cleo waits');
    await begun('cleo');
    await Promise.all([stack.workers.pop()?.stop(), replace()]);
    expect(await cleo.finalJob(job.id)).toMatchObject({ status: 'succeeded' });
    expect(await lines(job.id)).toEqual(['1.0 handed_back', '1.1 handed_back', '2.0 completed', '2.1 completed']);
    expect(await summariesOf(chatId)).toHaveLength(1);
  });

  it('by the death of its worker is made anew; what was lost is in the ledger, and after two such calls the turn goes without', async () => {
    const [once, twice] = [await full('once'), await full('twice')];
    await stack.model.script('once question 2', STALLS, 1);
    await stack.model.script('twice question 2', STALLS);
    const jobs = [
      await stack.as('once').turnAsync(once, 'once interrupted'),
      await stack.as('twice').turnAsync(twice, 'twice interrupted'),
    ] as const;
    await Promise.all([begun('once'), begun('twice')]);
    await stack.workers.pop()?.kill();
    await replace();
    await begun('twice', 2);
    expect(await stack.as('once').finalJob(jobs[0].id)).toMatchObject({ status: 'succeeded' });
    await stack.workers.pop()?.kill();
    await replace();
    expect(await stack.as('twice').finalJob(jobs[1].id)).toMatchObject({ status: 'succeeded' });

    expect(await lines(jobs[0].id)).toEqual(['1.0 lost', '1.1 lost', '2.0 completed', '2.1 completed']);
    expect(await summariesOf(once)).toHaveLength(1);
    expect(await lines(jobs[1].id)).toEqual(['1.0 lost', '1.1 lost', '2.0 lost', '2.1 lost', '3.1 completed']);
    expect(await callsOf('twice')).toHaveLength(2);
    expect(await summariesOf(twice)).toEqual([]);
    for (const { step, input_tokens, estimated } of (await ledgerOf(stack, jobs[1].id)).slice(0, 4)) {
      if (step === 0) expect([(input_tokens ?? 0) > 100, estimated]).toEqual([true, true]);
    }
  });

  it('after it was stored is not made again: the next attempt sends the same bytes, and so does the next turn', async () => {
    const [dora, chatId] = [stack.as('dora'), await full('dora')];
    await stack.model.script('dora wants', { pieces: ['a ', 'word'], stall_after: 1 }, 1);
    const job = await dora.turnAsync(chatId, 'dora wants a word');
    await until(async () => (await stack.model.calls('dora wants')).length > 0, 'the call of the reply');
    await stack.workers.pop()?.kill();
    await replace();
    expect(await dora.finalJob(job.id)).toMatchObject({ status: 'succeeded' });
    expect(await lines(job.id)).toEqual(['1.0 completed', '1.1 lost', '2.1 completed']);
    const [stored] = await summariesOf(chatId);
    expect(stored?.window_from_seq).toBe((stored?.until_seq ?? 0) + 1);
    const [lost, made] = await stack.model.calls('dora wants');
    expect(made?.messages).toEqual(lost?.messages);
    expect(textsOf(made as SeenCall)[0]).toContain('dora question 2');
    await dora.turn(chatId, 'dora goes on');
    const [next] = await stack.model.calls('dora goes on');
    expect(continues(next as SeenCall, made as SeenCall)).toBe(true);
    expect(await callsOf('dora')).toHaveLength(1);
  });

  it('by an outage of the model costs nothing, and is made when the model is back', async () => {
    const [emma, chatId] = [stack.as('emma'), await full('emma')];
    await stack.model.script('emma question 2', { status: 529, error_type: 'overloaded_error' }, 1);
    await stack.model.script('emma waits', { status: 529, error_type: 'overloaded_error' }, 1);
    const turn = await emma.turn(chatId, 'emma waits');
    expect(turn.status).toBe(200);
    expect(await lines(turn.body.job_id)).toEqual(['1.0 failed', '1.1 failed', '2.0 completed', '2.1 completed']);
    const [failed] = await ledgerOf(stack, turn.body.job_id);
    expect(failed).toMatchObject({ error_code: 'model_unavailable', input_tokens: 0, estimated: false });
    expect(await summariesOf(chatId)).toHaveLength(1);
  });

  it('leaves a sound state', async () => {
    await expectSound(stack);
  });

  it('by a deletion of its chat ends, and leaves nothing', async () => {
    const [bob, chatId] = [stack.as('bob'), await full('bob')];
    await stack.model.script('bob question 2', STALLS, 1);
    await bob.turnAsync(chatId, 'bob leaves');
    await begun('bob');
    expect((await bob.request('DELETE', `/api/v1/chats/${chatId}`)).status).toBe(204);
    await until(async () => (await callsOf('bob'))[0]?.outcome === 'client_closed', 'the end of the call');
    const { rows } = await stack.database.query(
      `SELECT outcome FROM model_calls WHERE user_id = 'bob' AND purpose = 'summary'`,
    );
    expect(rows).toEqual([{ outcome: 'canceled' }]);
    expect(await summariesOf(chatId)).toEqual([]);
  });
});
