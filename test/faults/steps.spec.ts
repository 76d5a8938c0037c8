import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { ledgerOf } from '../support/ledger.js';
import { type SeenCall } from '../support/model-stub.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const say = (text: string): object => ({ type: 'text', pieces: [text] });
const search = { type: 'server_tool_use', name: 'web_search', input: { query: 'the answer' } };
const found = { type: 'web_search_tool_result', content: [] };

/** The first step: it thinks, says so much, and pauses. */
const FIRST = 'Searching 😀.';
const PAUSED = { blocks: [{ type: 'thinking', tokens: 20 }, say(FIRST), search], stop_reason: 'pause_turn' };
/** A second step that is slow enough to be interrupted, and one that is not. */
const SLOW = {
  blocks: [found, { type: 'text', pieces: ['slowly ', ...(Array(1_000).fill('on ') as string[])] }],
  piece_delay_ms: 30,
};
const REST = { blocks: [found, say('It is 42.')] };
const WHOLE = `${FIRST}\n\nIt is 42.`;

describe('a turn of two steps', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1, workerEnv: { WORKER_DRAIN_SECONDS: '1' } });
  });
  afterAll(() => stopSound(stack));

  /** Sends a turn whose second step is interrupted by `interrupt`, and made once more. */
  const interrupted = async (text: string, interrupt: () => Promise<unknown>, rest: object = REST): Promise<string> => {
    await stack.model.script(text, PAUSED, 1);
    await stack.model.script(text, SLOW, 1);
    await stack.model.script(text, rest);
    const user = stack.as(text);
    const { id } = await user.turnAsync((await user.chat()).id, text);
    await until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [id]);
      return String(rows[0]?.draft).includes('slowly on');
    }, 'text of the second step');
    await interrupt();
    return id;
  };
  const callsOf = async (text: string): Promise<SeenCall[]> =>
    (await stack.model.allCalls()).filter(({ asked }) => asked === text);
  const events = async (user: string, id: string, from?: string): Promise<StreamEvent[]> =>
    collect(
      await openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${id}/events`, {
        headers: from === undefined ? {} : { 'last-event-id': from },
      }),
    );

  describe('whose worker is killed in the second', () => {
    const TEXT = 'killed in the second';
    let id: string;
    let live: StreamEvent[];
    beforeAll(async () => {
      let streamed: Promise<StreamEvent[]> | undefined;
      id = await interrupted(
        TEXT,
        async () => {
          const { rows } = await stack.database.query('SELECT id FROM jobs WHERE user_id = $1', [TEXT]);
          streamed = events(TEXT, rows[0].id);
          await until(
            async () => (await stack.database.query(`SELECT FROM jobs WHERE length(draft) > 60`)).rows.length > 0,
            'more text',
          );
          await stack.workers.at(-1)?.kill();
          stack.workers.push(await stack.startWorker());
          // The stream sees the second attempt run. After the end the steps are gone, and it would start over from the beginning.
        },
        { ...REST, delay_ms: 3_000 },
      );
      live = (await streamed) ?? [];
    });

    it('goes on after the first, which the model made once and is sent to the letter', async () => {
      expect((await stack.as(TEXT).finalJob(id)).assistant_message).toMatchObject({
        content: WHOLE,
        status: 'complete',
      });
      const calls = await callsOf(TEXT);
      expect(calls.map(({ continues }) => continues)).toEqual([false, true, true]);
      const [, lost, last] = calls;
      expect(last?.messages).toEqual(lost?.messages);
      expect(last?.messages.at(-1)).toMatchObject({
        role: 'assistant',
        content: [{ type: 'thinking', signature: expect.any(String) }, { text: FIRST }, { type: 'server_tool_use' }],
      });
    });

    it('has an entry of the ledger for each call, and a message that says what its steps cost', async () => {
      const entries = await ledgerOf(stack, id);
      expect(entries.map(({ attempt, step, outcome }) => [attempt, step, outcome])).toEqual([
        [1, 1, 'completed'],
        [1, 2, 'lost'],
        [2, 2, 'completed'],
      ]);
      const { assistant_message } = await stack.as(TEXT).finalJob(id);
      expect(assistant_message?.usage?.output_tokens).toBe(
        (entries[0]?.output_tokens ?? 0) + (entries[2]?.output_tokens ?? 0),
      );
    });

    it('tells a stream from where its text starts over: the text of the first step stays', async () => {
      const resets = live.filter(({ event }) => event === 'reset');
      expect(resets.map(({ data }) => data)).toEqual([{ attempt: 2, offset: FIRST.length, reasoning_offset: 0 }]);
      expect(textOf(live)).toBe(WHOLE);
      const deltas = live.filter(({ event }) => event === 'delta').map(({ data }) => data.offset as number);
      expect(deltas.filter((offset) => offset < FIRST.length)).toEqual([0]);
    });

    it('leaves nothing of its steps behind', async () => {
      const { rows } = await stack.database.query('SELECT FROM steps WHERE job_id = $1', [id]);
      expect(rows).toEqual([]);
    });
  });

  it('that a stopping worker hands back goes on after the first, in another worker', async () => {
    const text = 'handed back in the second';
    const id = await interrupted(text, async () => {
      const next = await stack.startWorker();
      const leaves = stack.workers.at(-1);
      stack.workers.push(next);
      await leaves?.stop();
    });
    expect((await stack.as(text).finalJob(id)).assistant_message?.content).toBe(WHOLE);
    expect((await callsOf(text)).map(({ continues }) => continues)).toEqual([false, true, true]);
    const entries = await ledgerOf(stack, id);
    expect(entries.map(({ step, outcome }) => [step, outcome])).toEqual([
      [1, 'completed'],
      [2, 'handed_back'],
      [2, 'completed'],
    ]);
  });

  it('that is canceled in the second keeps the text of both, and the next turn is answered', async () => {
    const text = 'canceled in the second';
    const user = stack.as(text);
    const id = await interrupted(text, async () => {
      const { rows } = await stack.database.query('SELECT id FROM jobs WHERE user_id = $1', [text]);
      await user.patch(`/api/v1/jobs/${rows[0].id}`, { status: 'canceled' });
    });
    const job = await user.finalJob(id);
    expect(job.assistant_message).toMatchObject({
      status: 'incomplete',
      content: expect.stringMatching(/^Searching 😀\.\n\nslowly on on /),
    });
    const [first, second] = await ledgerOf(stack, id);
    expect([first?.outcome, second?.outcome]).toEqual(['completed', 'canceled']);
    const sum = (field: 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'thinking_tokens'): number =>
      (first?.[field] ?? 0) + (second?.[field] ?? 0);
    expect(job.assistant_message?.usage).toEqual({
      input_tokens: sum('input_tokens'),
      output_tokens: sum('output_tokens'),
      cache_read_tokens: sum('cache_read_tokens'),
      cache_write_tokens: 0,
      thinking_tokens: sum('thinking_tokens'),
      estimated: true,
    });
    expect((await user.turn(job.chat_id, `${text}, and now?`)).status).toBe(200);
  });

  it('whose second call fails for a while makes the first once, and has all its attempts for the second', async () => {
    const text = 'fails in the second';
    await stack.model.script(text, { status: 529, headers: { 'retry-after': '0' } }, 1);
    // The model may send blank text, and refuses it when it comes back.
    const blank = { ...PAUSED, blocks: [...PAUSED.blocks.slice(0, 2), say('\n\n'), search] };
    await stack.model.script(text, blank, 1);
    await stack.model.script(text, { status: 529, headers: { 'retry-after': '0' } }, 1);
    await stack.model.script(text, REST);
    const user = stack.as(text);
    const { body } = await user.turn((await user.chat()).id, text);
    expect(body.assistant_message?.content).toBe(WHOLE);
    const entries = await ledgerOf(stack, body.job_id);
    expect(entries.map(({ attempt, step, outcome }) => [attempt, step, outcome])).toEqual([
      [1, 1, 'failed'],
      [2, 1, 'completed'],
      [2, 2, 'failed'],
      [3, 2, 'completed'],
    ]);
    const { rows } = await stack.database.query('SELECT attempts_left FROM jobs WHERE id = $1', [body.job_id]);
    // Five again after the first step; the failed attempt was under way, and the last one took one.
    expect(rows).toEqual([{ attempts_left: 4 }]);
  });
});
