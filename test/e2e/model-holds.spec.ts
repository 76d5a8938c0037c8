import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { Client } from '../support/client.js';
import { metricsOf } from '../support/figures.js';
import { ledgerOf } from '../support/ledger.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const TURNS = 20;

/** States of the account, and the code for operators and clients. */
const STATES = [
  ['bad_key', 'model_unauthorized'],
  ['no_credit', 'model_budget'],
  ['billing', 'model_budget'],
  ['spend_limit', 'model_budget'],
  ['own_limit', 'model_budget'],
  ['on_hold', 'model_unauthorized'],
] as const;

describe('while an operator has to act', () => {
  let stack: Stack;
  let ops: Client;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
  });
  afterAll(() => stopSound(stack));
  afterEach(async () => {
    await stack.model.account('ok');
    await stack.model.models();
  });

  const turns = async (what: string, assistant = 'support'): Promise<{ user: Client; id: string }[]> =>
    Promise.all(
      Array.from({ length: TURNS }, async (_, n) => {
        const user = stack.as(`${what} ${n}`);
        return { user, id: (await user.turnAsync((await user.chat(assistant)).id, `${what}, ${n}`)).id };
      }),
    );
  const health = async (url: string): Promise<any> => (await fetch(new URL('/health/ready', url))).json();
  const isHeld = (code: string) => async (): Promise<boolean> => (await health(stack.api.url)).checks.model === code;

  it.each(STATES)(
    '(%s), turns wait instead of failing, few calls are made, and operators find the reason where they look',
    async (state, code) => {
      const [worker] = stack.workers;
      await stack.model.account(state);
      const before = (await stack.model.allCalls()).length;
      const waiting = await turns(state);
      await until(isHeld(code), 'the hold');
      expect((await health(worker?.url ?? '')).checks.model).toBe(code);
      // Both are ready all the same: turns are accepted, and a restart would not help.
      expect((await health(stack.api.url)).status).toBe('ok');
      const calls = (await stack.model.allCalls()).length - before;
      // A few calls at once, before the first answer came, and then single probes.
      expect(calls).toBeLessThan(TURNS);
      expect((await metricsOf(worker?.url ?? '')).get(`rejoinder_model_holds{code="${code}"}`)).toBe(1);
      const { body } = await ops.get(`/api/v1/admin/jobs/${waiting.at(-1)?.id}`);
      expect(body.why).toMatchObject({ code: 'waiting_for_operator', message: expect.stringContaining(code) });
      expect(worker?.output()).toMatch(/an operator has to act \(all\)/);

      await stack.model.account('ok');
      const ended = await Promise.all(waiting.map(({ user, id }) => user.finalJob(id)));
      expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
      await until(isHeld('ok'), 'the end of the hold');
      expect((await metricsOf(worker?.url ?? '')).get(`rejoinder_model_holds{code="${code}"}`)).toBe(0);
      const { rows } = await stack.database.query('SELECT DISTINCT attempts_left FROM jobs WHERE id = ANY($1)', [
        waiting.map(({ id }) => id),
      ]);
      expect(rows).toEqual([{ attempts_left: 4 }]);
    },
  );

  it('a model that is gone stops only its own assistants', async () => {
    await stack.database.query(
      `UPDATE assistants SET model = 'claude-opus-5-5', version = version + 1 WHERE slug = 'billing'`,
    );
    await stack.model.models('claude-opus-5-5', { lifecycle: 'retired' });
    const waiting = await turns('gone', 'billing');
    await until(isHeld('model_misconfigured'), 'the hold');
    const other = stack.as('not concerned');
    expect((await other.turn((await other.chat()).id, 'still here?')).status).toBe(200);
    const { body } = await ops.get(`/api/v1/admin/jobs/${waiting.at(-1)?.id}`);
    expect(body.why).toMatchObject({
      code: 'waiting_for_operator',
      message: expect.stringContaining('model:claude-opus-5-5'),
    });
    await stack.model.models();
    const ended = await Promise.all(waiting.map(({ user, id }) => user.finalJob(id)));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
  });

  it('an assistant that asks for more than its model gives stops only itself', async () => {
    await stack.database.query(
      `UPDATE assistants SET max_output_tokens = 128001, version = version + 1 WHERE slug = 'general'`,
    );
    const waiting = await turns('too much', 'general');
    await until(isHeld('model_misconfigured'), 'the hold');
    const other = stack.as('content');
    expect((await other.turn((await other.chat()).id, 'content with little')).status).toBe(200);
    // An operator corrects it: turns that wait are answered by the corrected definition.
    await (await stack.startApi()).stop();
    const ended = await Promise.all(waiting.map(({ user, id }) => user.finalJob(id)));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
  });

  it('an outage is reported as such, and waiting turns can be canceled', async () => {
    await stack.model.script('away', { status: 529, error_type: 'overloaded_error' });
    const waiting = await turns('away');
    await until(isHeld('model_unavailable'), 'the hold');
    const [first, ...others] = waiting;
    const { body } = await ops.get(`/api/v1/admin/jobs/${others.at(-1)?.id}`);
    expect(body.why.code).toMatch(/waiting_for_model|running/);
    const canceled = await first?.user.patch(`/api/v1/jobs/${first.id}`, { status: 'canceled' });
    expect(canceled?.body.status).toBe('canceled');
    await stack.model.clearScripts();
    const ended = await Promise.all(others.map(({ user, id }) => user.finalJob(id)));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
  });

  it('attempts that cost nothing are limited: in the end the job fails with the code', async () => {
    await stack.model.account('bad_key');
    const user = stack.as('bounded');
    const { id } = await user.turnAsync((await user.chat()).id, 'for how long?');
    await until(async () => (await ledgerOf(stack, id)).length > 0, 'the first attempt');
    await stack.database.query('UPDATE jobs SET free_attempts = 240 WHERE id = $1', [id]);
    expect(await user.finalJob(id)).toMatchObject({ status: 'failed', error: { code: 'model_unauthorized' } });
  });

  it('a hold of a dead worker is not shown for ever', async () => {
    const user = stack.as('after all that');
    expect((await user.turn((await user.chat()).id, 'is all well again?')).status).toBe(200);
    await until(isHeld('ok'), 'the end of the hold');
    await stack.database.query(
      `INSERT INTO model_holds VALUES ('model:x', 'model_budget', 'm', now() - interval '1 hour', now() - interval '10 minutes')`,
    );
    expect((await health(stack.api.url)).checks.model).toBe('ok');
  });
});
