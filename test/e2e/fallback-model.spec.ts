import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { type Stack, startStack } from '../support/stack.js';
import { assistantsFile, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

const FIRST = 'claude-sonnet-5-5';
const SECOND = 'claude-haiku-5-5';
const PRICES = { [FIRST]: { input: 100, output: 100 }, [SECOND]: { input: 1, output: 1 } };

describe('a fallback model', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    tools = await startTools();
    const refund = [httpTool(tools, 'refund_order', { approval: 'always' })];
    const assistants = {
      support: { fallback_model: SECOND },
      shop: { fallback_model: SECOND, tools: refund },
      alone: {},
    };
    const prices = { currency: 'USD', models: PRICES };
    const env = { ASSISTANTS_FILE: await assistantsFile(assistants, { prices }), TOOLS_SECRET };
    stack = await startStack({ workers: 0, env });
  });
  beforeEach(async () => {
    // A worker that has made no experience with a model.
    await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
    await stack.model.reset();
    stack.workers.push(await stack.startWorker());
  });
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  const modelsOf = async (words: string): Promise<string[]> => {
    const calls = (await stack.model.allCalls()).filter(({ asked }) => asked === words);
    return calls.map(({ model }) => model);
  };
  const ask = async (user: Client, words: string, assistant = 'support') => {
    const { status, body } = await user.turn((await user.chat(assistant)).id, words);
    expect([words, status]).toEqual([words, 200]);
    return { reply: body.assistant_message, jobId: body.job_id as string };
  };

  it('answers at once if the model is overloaded: one attempt, one entry of the ledger, at its own price', async () => {
    await stack.model.script('overloaded', { status: 529, error_type: 'overloaded_error' }, 1);
    const ana = stack.as('ana');
    const { reply, jobId } = await ask(ana, 'overloaded');
    expect(await modelsOf('overloaded')).toEqual([FIRST, SECOND]);
    expect(reply).toMatchObject({ model: SECOND, status: 'complete' });
    const entries = await ledgerOf(stack, jobId);
    expect(entries).toMatchObject([{ attempt: 1, step: 1, model: SECOND, outcome: 'completed' }]);
    const { input_tokens: input, output_tokens: output, cost } = reply.usage;
    expect(cost).toBeCloseTo((input + output) / 1_000_000, 9);
    // The next turn has the first model again.
    expect((await ask(ana, 'and now?')).reply.model).toBe(FIRST);
  });

  it('answers all turns of a model that is retired, which is tried again from time to time, and is used once it is back', async () => {
    await stack.model.models(FIRST, { lifecycle: 'retired' });
    const ben = stack.as('ben');
    expect((await ask(ben, 'the first to notice')).reply.model).toBe(SECOND);
    expect(await modelsOf('the first to notice')).toEqual([FIRST, SECOND]);
    expect((await ask(ben, 'the second')).reply.model).toBe(SECOND);
    expect(await modelsOf('the second')).toEqual([SECOND]);
    // Turns of an assistant without a fallback wait.
    const cid = stack.as('cid');
    const waiting = await cid.turnAsync((await cid.chat('alone')).id, 'no other model');
    expect((await ask(ben, 'the third')).reply.model).toBe(SECOND);
    expect((await cid.get(`/api/v1/jobs/${waiting.id}`)).body.status).not.toBe('succeeded');
    await stack.model.models();
    expect((await cid.finalJob(waiting.id)).status).toBe('succeeded');
    await until(async () => (await ask(ben, `back? ${Math.random()}`)).reply.model === FIRST, 'the first model');
  });

  it('makes all steps of a turn whose first one it has made, also after the worker’s death and a long wait', async () => {
    await stack.model.script('use refund_order', { status: 529, error_type: 'overloaded_error' }, 1);
    const dan = stack.as('dan');
    const { id } = await dan.chat('shop');
    const { status, body } = await dan.turn(id, 'use refund_order');
    expect([status, body.status]).toEqual([202, 'requires_action']);
    await stack.workers.splice(0)[0]?.kill();
    stack.workers.push(await stack.startWorker());
    const path = `/api/v1/jobs/${body.id}/tool-calls/${body.required_action.tool_calls[0].id}`;
    expect((await dan.patch(path, { decision: 'approve' })).status).toBe(200);
    expect((await dan.finalJob(body.id)).status).toBe('succeeded');
    // With the other model’s thoughts the first one would have refused the turn.
    expect(await modelsOf('use refund_order')).toEqual([FIRST, SECOND, SECOND]);
    expect((await ledgerOf(stack, body.id)).map(({ step, model }) => [step, model])).toEqual([
      [1, SECOND],
      [2, SECOND],
    ]);
  });

  it('does not answer what the first model refuses for what it says', async () => {
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error' }, 1);
    const eva = stack.as('eva');
    const { status } = await eva.turn((await eva.chat()).id, 'refused');
    expect([status, await modelsOf('refused')]).toEqual([502, [FIRST]]);
  });

  it('leaves a turn to wait if it is overloaded, too', async () => {
    await stack.model.script('all are overloaded', { status: 529, error_type: 'overloaded_error' }, 2);
    const { reply, jobId } = await ask(stack.as('flo'), 'all are overloaded');
    expect(await modelsOf('all are overloaded')).toEqual([FIRST, SECOND, FIRST]);
    expect(reply.model).toBe(FIRST);
    expect(await ledgerOf(stack, jobId)).toMatchObject([
      { attempt: 1, model: SECOND, outcome: 'failed', error_code: 'model_unavailable', input_tokens: null },
      { attempt: 2, model: FIRST, outcome: 'completed' },
    ]);
  });
});
