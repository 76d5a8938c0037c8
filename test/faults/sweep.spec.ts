import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Stack, startStack } from '../support/stack.js';
import { RULES, sweep } from '../support/sweep.js';
import { giveTools, httpTool, startTools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

/** For each rule, a statement that breaks it. */
const DAMAGE: Readonly<Record<string, string>> = {
  'every job is final': `UPDATE jobs SET status = 'queued', finished_at = NULL WHERE status = 'canceled'`,
  'a job has the messages of its state': `UPDATE messages SET status = 'incomplete' WHERE role = 'assistant'`,
  'a turn has one assistant message at most': `UPDATE jobs SET user_message_id = (SELECT min(user_message_id::text)::uuid FROM jobs)`,
  'messages are numbered without gaps': 'UPDATE chats SET last_seq = last_seq + 1',
  'no user message is there twice': `UPDATE messages SET content = 'the same' WHERE role = 'user'`,
  'a job says when it ended, and why if it failed': `UPDATE jobs SET finished_at = started_at - interval '1 second'`,
  'a job that has ended holds nothing': `UPDATE jobs SET draft = 'left'`,
  'no call of the ledger is left open': `UPDATE model_calls SET outcome = 'running', ended_at = NULL`,
  'a turn has one completed call for each of its finished steps, and one more if it succeeded': `UPDATE model_calls SET outcome = 'lost'`,
  'an unfinished turn has the steps that it has finished, and an ended one has none': `
    INSERT INTO steps (job_id, step, attempt, content, stop_reason, text, ends_at)
    SELECT id, 1, 1, '[]', 'pause_turn', '', 0 FROM jobs`,
  'each tool call of a finished step is stored, in its order': `
    INSERT INTO steps (job_id, step, attempt, content, stop_reason, text, ends_at)
    SELECT id, 9, 1, '[{"type":"tool_use","id":"toolu_1"}]', 'tool_use', '', 0 FROM jobs`,
  'a step with open tool calls is the last one': `
    UPDATE tool_calls SET status = 'queued', result = NULL, ended_at = NULL, step = 9`,
  'a turn that has ended has no open tool call': `UPDATE tool_calls SET status = 'queued', result = NULL, ended_at = NULL`,
  'a turn waits for a person only if one of its calls does, and no call can go on': `
    UPDATE jobs SET status = 'requires_action', finished_at = NULL, action_expires_at = now() WHERE status = 'canceled'`,
  'the message of a turn has all of its tool calls, each with its result': `UPDATE tool_calls SET result = 'another'`,
  'a window begins with a message of its chat, behind all summaries': 'UPDATE chats SET window_from_seq = last_seq + 1',
  'a completed call cost what its message says': 'UPDATE messages SET output_tokens = output_tokens + 1',
  'an answer of the model is in the ledger once': `UPDATE model_calls SET message_id = 'msg_twice'`,
  'a call is of an attempt that was begun, and ends after it began': 'UPDATE model_calls SET attempt = attempt + 1',
  'a call of the ledger is one the model knows': `UPDATE model_calls SET message_id = 'msg_' || job_id`,
  // Entries without an answer's id that are not marked are none of a call that cost something.
  'every call of the model is in the ledger': `UPDATE model_calls SET message_id = NULL, outcome = 'lost', estimated = false`,
};

describe('the sweep', () => {
  let stack: Stack;
  beforeAll(async () => {
    const tools = await startTools();
    stack = await startStack({ env: { TOOLS_SECRET } });
    await giveTools(stack, 'support', [httpTool(tools, 'find_order')]);
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await ana.turn(chat.id, 'a first question');
    await ana.turn(chat.id, 'a second question: use find_order');
    await tools.stop();
    await stack.model.script('never mind', { pieces: ['some ', 'text'], stall_after: 2 });
    const job = await ana.turnAsync(chat.id, 'never mind');
    await until(async () => (await ana.get(`/api/v1/jobs/${job.id}`)).body.status === 'running', 'the attempt');
    await until(async () => (await stack.model.allCalls()).length === 4, 'its call');
    await ana.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
  });
  afterAll(() => stack.stop());

  it('finds nothing in sound data', async () => {
    expect(await sweep(stack)).toEqual([]);
  });

  it('has a damage for every rule', () => {
    expect(Object.keys(DAMAGE)).toEqual(expect.arrayContaining(RULES.map(({ name }) => name)));
  });

  it.each(Object.entries(DAMAGE))('finds what breaks "%s"', async (name, damage) => {
    const client = await stack.database.connect();
    try {
      await client.query('BEGIN');
      expect((await client.query(damage)).rowCount).toBeGreaterThan(0);
      const findings = await sweep({ database: client, model: stack.model }, 0);
      expect(findings.filter((finding) => finding.startsWith(name))).not.toEqual([]);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });

  it('finds a call that goes on, and one that was given up although the ledger has it as completed', async () => {
    const seen = await stack.model.allCalls();
    const going = {
      allCalls: async () => [...seen, { ...(seen[0] as (typeof seen)[0]), id: 'msg_1', outcome: 'running' }],
    };
    expect((await sweep({ database: stack.database, model: going }, 0)).join()).toContain('no call goes on');
    const given = { allCalls: async () => seen.map((call) => ({ ...call, outcome: 'client_closed' })) };
    expect((await sweep({ database: stack.database, model: given }, 0)).join()).toContain(
      'the model saw client_closed',
    );
  });

  it('asks for no entry of a call that the model refused as invalid', async () => {
    const seen = await stack.model.allCalls();
    const refused = ['rejected', 'too_long'].map((outcome) => ({
      ...(seen[0] as (typeof seen)[0]),
      id: outcome,
      outcome,
    }));
    const model = { allCalls: async () => [...seen, ...refused] };
    expect(await sweep({ database: stack.database, model }, 0)).toEqual([]);
  });
});
