import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerOf } from '../support/ledger.js';
import { type Stack, startStack } from '../support/stack.js';
import { imbalances, stopSound } from '../support/sweep.js';
import {
  clientTool,
  assistantsWith,
  httpTool,
  startTools,
  type ToolRequest,
  type Tools,
  TOOLS_SECRET,
} from '../support/tools.js';
import { until } from '../support/until.js';

/** A tool call as the API shows it. */
interface Shown {
  readonly id: string;
  readonly step: number;
  readonly name: string;
  readonly status: string;
  readonly result: string;
}

describe('a turn with tools', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    tools = await startTools();
    const ASSISTANTS_FILE = await assistantsWith(
      [
        httpTool(tools, 'find_order', { repeatable: true }),
        httpTool(tools, 'place_order'),
        httpTool(tools, 'slow_order', { timeout_seconds: 1 }),
        httpTool(tools, 'refund_order', { approval: 'always' }),
        httpTool(tools, 'short_result', { result_max_bytes: 1024 }),
        clientTool('pick_date'),
      ],
      { max_steps: 4 },
    );
    const env = { TOOLS_SECRET, ASSISTANTS_FILE, WORKER_DRAIN_SECONDS: '1', TOOL_CALLS_AT_ONCE: '8' };
    stack = await startStack({ env });
  });
  afterEach(async () => expect(await imbalances(stack)).toEqual([]));
  afterAll(async () => {
    await tools.stop();
    await stopSound(stack);
  });

  const callsOf = async (user: string, jobId: string): Promise<Shown[]> =>
    (await stack.as(user).get(`/api/v1/jobs/${jobId}/tool-calls`)).body.data;
  const requestsOf = async (user: string, jobId: string): Promise<string[]> => {
    const calls = await callsOf(user, jobId);
    return tools.requests.filter(({ callId }) => calls.some(({ id }) => id === callId)).map(({ name }) => name);
  };
  const modelCallsOf = async (text: string): Promise<unknown[]> =>
    (await stack.model.allCalls()).filter(({ asked }) => asked === text);
  /** Makes a tool hang until the returned function is called. Resolves once a call of it has arrived. */
  const hanging = (name: string): { arrived: Promise<ToolRequest>; release: () => void } => {
    let arrive: (request: ToolRequest) => void = () => undefined;
    const arrived = new Promise<ToolRequest>((resolve) => (arrive = resolve));
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    tools.answer(name, async (request, response) => {
      arrive(request);
      await Promise.race([released, once(response, 'close')]);
      tools.answer(name, () => `${name} done`);
      return response.writableEnded || response.destroyed ? undefined : `${name} done`;
    });
    return { arrived, release };
  };
  const replaceWorker = async (end: 'kill' | 'stop'): Promise<void> => {
    const next = await stack.startWorker();
    const ended = stack.workers.at(-1);
    stack.workers.push(next);
    await ended?.[end]();
  };

  describe('whose worker dies in the middle of calls', () => {
    it('asks a tool that may not run twice once, tells the model so, and repeats one that may with the same key', async () => {
      const text = 'killed in calls: use find_order and place_order';
      const [find, place] = [hanging('find_order'), hanging('place_order')];
      const user = stack.as('kim');
      const { id } = await user.turnAsync((await user.chat()).id, text);
      const [found] = await Promise.all([find.arrived, place.arrived]);
      await replaceWorker('kill');
      expect(await imbalances(stack)).toEqual([]);
      const job = await user.finalJob(id);
      expect(job.status).toBe('succeeded');
      const calls = await callsOf('kim', id);
      expect(calls).toMatchObject([
        { name: 'find_order', status: 'succeeded', result: 'find_order done' },
        { name: 'place_order', status: 'failed', result: expect.stringContaining('outcome is unknown') },
      ]);
      expect(await requestsOf('kim', id)).toEqual(['find_order', 'place_order', 'find_order']);
      expect(tools.requests.filter(({ callId }) => callId === found.callId)).toHaveLength(2);
      // The model made the first step once, and is told both results.
      expect(await modelCallsOf(text)).toHaveLength(2);
      expect(job.assistant_message?.content).toContain('unknown');
      const entries = await ledgerOf(stack, id);
      expect(entries.map(({ step, outcome }) => [step, outcome])).toEqual([
        [1, 'completed'],
        [2, 'lost'],
        [2, 'completed'],
      ]);
    });

    it('hands a turn back when it stops, with the same promises', async () => {
      const text = 'handed back in calls: use find_order';
      const find = hanging('find_order');
      const user = stack.as('lea');
      const { id } = await user.turnAsync((await user.chat()).id, text);
      await find.arrived;
      await replaceWorker('stop');
      expect((await user.finalJob(id)).status).toBe('succeeded');
      expect(await requestsOf('lea', id)).toEqual(['find_order', 'find_order']);
    });

    it('goes on after a decision although everything is killed right after it', async () => {
      const user = stack.as('mia');
      const { body } = await user.turn((await user.chat()).id, 'nobody there: use refund_order');
      const [call] = body.required_action.tool_calls;
      await stack.workers.at(-1)?.kill();
      await user.patch(`/api/v1/jobs/${body.id}/tool-calls/${call.id}`, { decision: 'approve' });
      await Promise.all([stack.api.kill(), stack.redis?.kill()]);
      await stack.redis?.restart();
      await stack.again(stack.api);
      stack.workers.push(await stack.startWorker());
      expect((await user.finalJob(body.id)).status).toBe('succeeded');
      expect(await requestsOf('mia', body.id)).toEqual(['refund_order']);
    });
  });

  describe('that is canceled', () => {
    const cancel = async (user: string, jobId: string): Promise<{ status: string; ms: number }> => {
      const begun = performance.now();
      const { body } = await stack.as(user).patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
      return { status: body.status, ms: performance.now() - begun };
    };

    it('while a tool runs ends within a second, aborts the request, and tells the next turn what is not known', async () => {
      const user = stack.as('ned');
      const chat = await user.chat();
      const place = hanging('place_order');
      const { id } = await user.turnAsync(chat.id, 'canceled in a call: use find_order and place_order');
      await place.arrived;
      await until(async () => (await callsOf('ned', id))[0]?.status === 'succeeded', 'the quick call');
      const before = tools.aborted();
      const { status, ms } = await cancel('ned', id);
      expect(status).toBe('canceled');
      expect(ms).toBeLessThan(1_500);
      await until(async () => tools.aborted() > before, 'the end of the request');
      expect(await callsOf('ned', id)).toMatchObject([
        { status: 'succeeded' },
        { status: 'canceled', result: expect.stringContaining('not known') },
      ]);
      expect((await user.turn(chat.id, 'and now?')).status).toBe(200);
      const last = (await stack.model.allCalls()).findLast(({ asked }) => asked === 'and now?');
      expect(JSON.stringify(last?.messages)).toContain('not known');
    });

    it('while the model writes its second step keeps the first, and the next turn is answered', async () => {
      const user = stack.as('olga');
      const chat = await user.chat();
      const text = 'canceled in the second step: use find_order';
      const find = hanging('find_order');
      const { id } = await user.turnAsync(chat.id, text);
      await find.arrived;
      await stack.model.script(
        text,
        { pieces: ['slowly', ...(Array(500).fill(' on') as string[])], piece_delay_ms: 30 },
        1,
      );
      find.release();
      await until(async () => {
        const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [id]);
        return String(rows[0]?.draft).includes('slowly on');
      }, 'text of the second step');
      expect((await cancel('olga', id)).status).toBe('canceled');
      const { assistant_message: message } = await user.finalJob(id);
      const kinds = message?.parts?.map(({ type }) => type);
      expect(kinds?.slice(-2)).toEqual(['tool_call', 'text']);
      expect(message?.content).toMatch(/slowly on/);
      const texts = message?.parts?.map((part) => (part.type === 'text' ? (part as { text: string }).text : '')) ?? [];
      expect(texts.join('')).toBe(message?.content);
      expect((await user.turn(chat.id, 'go on then')).status).toBe(200);
    });
  });

  describe('that waits for a person', () => {
    const waiting = async (name: string, command: string): Promise<{ job: string; call: string; path: string }> => {
      const user = stack.as(name);
      const { status, body } = await user.turn((await user.chat()).id, command);
      expect([status, body.status]).toEqual([202, 'requires_action']);
      const [call] = body.required_action.tool_calls;
      return { job: body.id, call: call.id, path: `/api/v1/jobs/${body.id}/tool-calls/${call.id}` };
    };

    it('counts one of many decisions at once, and tells the others', async () => {
      const { job, path } = await waiting('pia', 'many at once: use refund_order');
      const user = stack.as('pia');
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, n) => user.patch(path, { decision: n % 2 === 0 ? 'approve' : 'deny' })),
      );
      const counted = answers.filter(({ status }) => status === 200).length;
      expect(counted).toBe(6);
      expect(answers.filter(({ status, body }) => status === 409 && body.code === 'tool_call_decided')).toHaveLength(6);
      await user.finalJob(job);
      const approved = answers[0]?.status === 200;
      expect(await requestsOf('pia', job)).toEqual(approved ? ['refund_order'] : []);
    });

    it('takes no decision of another user, for another job, or that is forged', async () => {
      const { job, call, path } = await waiting('quin', 'forged: use refund_order');
      expect((await stack.as('eve').patch(path, { decision: 'approve' })).status).toBe(404);
      const other = await waiting('rob', 'another: use refund_order');
      expect(
        (await stack.as('rob').patch(`/api/v1/jobs/${other.job}/tool-calls/${call}`, { decision: 'approve' })).status,
      ).toBe(404);
      const user = stack.as('quin');
      for (const body of [
        {},
        { decision: 'yes' },
        { decision: 'approve', reason: 'why' },
        { decision: 'approve', result: { content: 1 } },
        { result: {} },
        { result: { content: 'x', more: 1 } },
        { result: { content: 'x', is_error: 'no' } },
        { decision: 'approve', status: 'succeeded' },
      ]) {
        expect([body, (await user.patch(path, body)).status]).toEqual([body, 422]);
      }
      expect((await user.patch(path, { result: { content: 'x' } })).status).toBe(409);
      expect((await user.get(`/api/v1/jobs/${job}`)).body.status).toBe('requires_action');
      await Promise.all([
        user.patch(`/api/v1/jobs/${job}`, { status: 'canceled' }),
        stack.as('rob').patch(`/api/v1/jobs/${other.job}`, { status: 'canceled' }),
      ]);
      expect((await user.patch(path, { decision: 'approve' })).body.code).toBe('tool_call_decided');
    });

    it('decides and is canceled at the same moment: one of both counts, whole', async () => {
      for (let n = 0; n < 4; n += 1) {
        const name = `sam ${n}`;
        const { job, path } = await waiting(name, `race ${n}: use refund_order`);
        const user = stack.as(name);
        const [decided] = await Promise.all([
          user.patch(path, { decision: 'approve' }),
          user.patch(`/api/v1/jobs/${job}`, { status: 'canceled' }),
        ]);
        const final = await user.finalJob(job);
        expect(['succeeded', 'canceled']).toContain(final.status);
        if (decided.status === 409) expect(await requestsOf(name, job)).toEqual([]);
        expect((await user.turn(final.chat_id, `after race ${n}`)).status).toBe(200);
      }
    });

    it('fails visibly when nobody decides in time, and the chat goes on', async () => {
      const { job } = await waiting('tess', 'expires: use refund_order and pick_date');
      await stack.database.query(`UPDATE jobs SET action_expires_at = now() WHERE id = $1`, [job]);
      const user = stack.as('tess');
      await until(async () => (await user.get(`/api/v1/jobs/${job}`)).body.status === 'failed', 'the end');
      const { body } = await user.get(`/api/v1/jobs/${job}`);
      expect(body.error.code).toBe('action_expired');
      expect((await callsOf('tess', job)).map(({ status }) => status)).toEqual(['expired', 'expired']);
      expect(body.assistant_message).toMatchObject({ status: 'incomplete', stop_reason: 'failed' });
      expect((await user.turn(body.chat_id, 'once more')).status).toBe(200);
    });

    it('does not age: its hour stands still', async () => {
      const { job, path } = await waiting('uma', 'a long wait: use refund_order');
      await stack.database.query(
        `UPDATE jobs SET created_at = now() - interval '20 hours', action_since = now() - interval '19.9 hours' WHERE id = $1`,
        [job],
      );
      await stack.as('uma').patch(path, { decision: 'approve' });
      expect((await stack.as('uma').finalJob(job)).status).toBe('succeeded');
    });

    it('counts as one of its user’s unfinished turns, and holds no slot', async () => {
      const { job } = await waiting('vic', 'holds nothing: use pick_date');
      const { rows } = await stack.database.query(
        `SELECT (p).unfinished, j.lease_until FROM jobs j, next_place('vic', 10) p WHERE j.id = $1`,
        [job],
      );
      expect(rows).toEqual([{ unfinished: 1, lease_until: null }]);
      await stack.as('vic').patch(`/api/v1/jobs/${job}`, { status: 'canceled' });
    });
  });

  describe('within its limits', () => {
    it('ends with text at its last step, whatever the model would like', async () => {
      const user = stack.as('wim');
      const text =
        'steps: use find_order then use find_order then use find_order then use find_order then use find_order';
      const { status, body } = await user.turn((await user.chat()).id, text);
      expect(status).toBe(200);
      expect((await user.get(`/api/v1/jobs/${body.job_id}`)).body.step).toBe(3);
      const last = (await stack.model.allCalls()).findLast(({ asked }) => asked === text);
      expect(JSON.stringify(last)).toContain('"none"');
    });

    it('runs at most 16 calls of a step, and answers the others', async () => {
      const user = stack.as('xen');
      const { body } = await user.turn((await user.chat()).id, 'calls: use find_order 20 times');
      const calls = await callsOf('xen', body.job_id);
      expect(calls.filter(({ status }) => status === 'succeeded')).toHaveLength(16);
      expect(calls.filter(({ status, result }) => status === 'failed' && result.includes('at most 16'))).toHaveLength(
        4,
      );
    });

    it('does not run what does not match the schema or was not offered, and tells the model', async () => {
      const user = stack.as('yan');
      const { id } = await user.chat();
      const wrong = await user.turn(id, 'wrong input: use find_order with wrong input');
      expect(await callsOf('yan', wrong.body.job_id)).toMatchObject([
        { status: 'failed', result: expect.stringContaining('does not match') },
      ]);
      const unknown = await user.turn(id, 'use `rm` anyway');
      expect(await callsOf('yan', unknown.body.job_id)).toMatchObject([
        { name: 'rm', status: 'failed', result: expect.stringContaining('no tool') },
      ]);
      const cut = await user.turn(id, 'cut: use find_order cut off');
      expect(cut.body.assistant_message).toMatchObject({ status: 'incomplete', stop_reason: 'max_tokens' });
      expect(await callsOf('yan', cut.body.job_id)).toEqual([]);
      expect((await user.turn(id, 'thanks')).status).toBe(200);
    });

    it('cuts a long result, and says so', async () => {
      tools.answer('short_result', () => 'x'.repeat(5_000));
      const user = stack.as('zoe');
      const { body } = await user.turn((await user.chat()).id, 'long: use short_result');
      const [call] = await callsOf('zoe', body.job_id);
      expect(Buffer.byteLength(call?.result ?? '')).toBeLessThanOrEqual(1024);
      expect(call?.result).toMatch(/cut/);
    });

    it('lets a tool server that hangs harm no other turn', async () => {
      tools.answer('slow_order', () => undefined);
      const hung = Array.from({ length: 12 }, async (_, n) => {
        const user = stack.as(`slow ${n}`);
        return user.turn((await user.chat()).id, `slow ${n}: use slow_order`);
      });
      await pause(300);
      const user = stack.as('quick');
      const begun = performance.now();
      expect((await user.turn((await user.chat()).id, 'plain and quick')).status).toBe(200);
      expect(performance.now() - begun).toBeLessThan(2_000);
      const answers = await Promise.all(hung);
      expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
    });
  });
});
