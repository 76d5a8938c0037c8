import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import type { StreamEvent } from '../support/events.js';
import { openStream } from '../support/events.js';
import { ledgerOf } from '../support/ledger.js';
import { Pace } from '../support/pace.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const ENDLESS = { pieces: Array.from({ length: 2_000 }, (_, n) => `piece ${n} `), piece_delay_ms: 20 };

describe('a cancel', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 2 });
  });
  afterAll(() => stopSound(stack));

  const cancel = (user: string, jobId: string, through = stack.api) =>
    stack.as(user, through).patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
  const callOf = async (text: string) => (await stack.model.calls(text))[0];

  it('of a running job ends its model call within a second, and keeps all the text that a client saw', async () => {
    const ana = stack.as('ana');
    const other = await stack.startApi();
    await stack.model.script('an endless story', ENDLESS);
    const job = await ana.turnAsync((await ana.chat()).id, 'an endless story');
    const stream = await openStream(stack.api.url, tokenFor('ana'), `/api/v1/jobs/${job.id}/events`);
    let seen = '';
    let last: StreamEvent | undefined;
    let message = '';
    const reading = (async () => {
      for await (const event of stream.events) {
        if (event.event === 'delta') seen += String(event.data.text);
        if (event.event === 'message') message = String(event.data.content);
        last = event;
      }
    })();
    await until(async () => seen.includes('piece 40 '), 'some text');

    const seenBefore = seen;
    const pace = await Pace.watch();
    const asked = Date.now();
    const canceled = await cancel('ana', job.id, other);
    const answered = Date.now();
    await until(async () => (await callOf('an endless story'))?.outcome === 'client_closed', 'the end of the call');
    const call = await callOf('an endless story');
    expect(Date.parse(call?.ended_at ?? '') - asked).toBeLessThan(pace.bound(1_000));
    expect(answered - asked).toBeLessThan(pace.bound(1_000));

    const kept = canceled.body.assistant_message;
    expect(canceled.body).toMatchObject({ status: 'canceled', error: null });
    expect(kept).toMatchObject({ status: 'incomplete', stop_reason: 'canceled' });
    expect(ENDLESS.pieces.join('').startsWith(kept.content as string)).toBe(true);
    // The text that the client saw before its cancel is kept, and so is the text until the call's end.
    expect(kept.content.startsWith(seenBefore)).toBe(true);
    await reading;
    expect([last?.id, message]).toEqual(['end', kept.content]);
    expect(kept.content.startsWith(seen) || seen.startsWith(kept.content as string)).toBe(true);

    const [line] = await ledgerOf(stack, job.id);
    expect(line).toMatchObject({ outcome: 'canceled', message_id: call?.id });
    expect(kept.usage).toEqual({
      input_tokens: line?.input_tokens,
      output_tokens: line?.output_tokens,
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: true,
    });
    expect(kept.usage.input_tokens).toBeGreaterThan(0);
    // A final state stays, and a second cancel is fine.
    expect((await cancel('ana', job.id)).body).toEqual(canceled.body);
    expect(await other.stop()).toBe(0);
  });

  it('is carried out even if the process that was asked gets no notice, or is stopping', async () => {
    const seen = async (text: string): Promise<string> => {
      // The text that the stand-in has sent so far, without the pieces still under way.
      await until(async () => (await callOf(text)) !== undefined, 'the call');
      await pause(1_000);
      return ENDLESS.pieces.slice(0, 20).join('');
    };
    const deaf = await stack.startApi();
    await stack.model.script('heard by nobody', ENDLESS);
    const one = await stack.as('deaf').turnAsync((await stack.as('deaf').chat()).id, 'heard by nobody');
    const least = await seen('heard by nobody');
    const { rows } = await stack.database.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rejoinder-api-feed'`,
    );
    for (const { pid } of rows) process.kill(pid as number, 'SIGSTOP');
    try {
      const pace = await Pace.watch();
      const asked = Date.now();
      const canceled = await cancel('deaf', one.id, deaf);
      expect(Date.now() - asked).toBeLessThan(pace.bound(2_500));
      expect(canceled.body.assistant_message.content.startsWith(least)).toBe(true);
    } finally {
      for (const { pid } of rows) process.kill(pid as number, 'SIGCONT');
    }
    await stack.model.script('in the last moment', ENDLESS);
    const two = await stack.as('late').turnAsync((await stack.as('late').chat()).id, 'in the last moment');
    await seen('in the last moment');
    const [answer] = await Promise.all([cancel('late', two.id, deaf), pause(2).then(() => deaf.stop())]);
    expect(answer.body.assistant_message.content.startsWith(least)).toBe(true);
  });

  it('of a job before its first piece leaves no message', async () => {
    const ben = stack.as('ben');
    await stack.model.script('says nothing', { hang_before_headers: true });
    const job = await ben.turnAsync((await ben.chat()).id, 'says nothing');
    await until(async () => (await callOf('says nothing')) !== undefined, 'the call');
    expect((await cancel('ben', job.id)).body).toMatchObject({ status: 'canceled', assistant_message: null });
    await until(async () => (await callOf('says nothing'))?.outcome === 'client_closed', 'the end of the call');
  });

  it('of a queued job ends it at once, and the model is never asked', async () => {
    const eva = stack.as('eva');
    for (const worker of stack.workers) worker.freeze();
    const job = await eva.turnAsync((await eva.chat()).id, 'never to be asked');
    const canceled = await cancel('eva', job.id);
    expect(canceled.body).toMatchObject({ status: 'canceled', attempts: 0, assistant_message: null });
    for (const worker of stack.workers) worker.thaw();
    // The chat is free. Its next turn's ticket stands behind the first one's.
    const chat = await eva.chat();
    expect((await eva.turn(chat.id, 'instead of it')).status).toBe(200);
    expect((await stack.model.allCalls()).map(({ asked }) => asked)).not.toContain('never to be asked');
    expect((await eva.get(`/api/v1/jobs/${job.id}`)).body).toEqual(canceled.body);
  });

  it('does not wait for a frozen worker, which changes nothing once it thaws', async () => {
    const kim = stack.as('kim');
    await stack.model.script('frozen in mid-stream', ENDLESS);
    const job = await kim.turnAsync((await kim.chat()).id, 'frozen in mid-stream');
    await until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [job.id]);
      return rows[0]?.draft !== '';
    }, 'a checkpoint');
    for (const worker of stack.workers) worker.freeze();
    const pace = await Pace.watch();
    const asked = Date.now();
    const canceled = await cancel('kim', job.id);
    expect(Date.now() - asked).toBeLessThan(pace.bound(3_000));
    expect(canceled.body).toMatchObject({ status: 'canceled', assistant_message: { status: 'incomplete' } });
    for (const worker of stack.workers) worker.thaw();
    await until(async () => (await callOf('frozen in mid-stream'))?.outcome === 'client_closed', 'the end of the call');
    await pause(500);
    expect((await kim.get(`/api/v1/jobs/${job.id}`)).body).toEqual(canceled.body);
  });

  it('at the very moment of the reply leaves either the whole reply or the cancel', async () => {
    await stack.model.script('neck and neck', { pieces: ['one ', 'two ', 'three'], piece_delay_ms: 120 });
    const race = async (user: string, ms: number): Promise<string> => {
      const chat = await stack.as(user).chat();
      const job = await stack.as(user).turnAsync(chat.id, `neck and neck, ${user}`);
      await pause(ms);
      const answer = await cancel(user, job.id);
      const found = (await stack.as(user).get(`/api/v1/jobs/${job.id}`)).body;
      if (answer.status === 200) expect(found).toEqual(answer.body);
      else expect([answer.status, answer.body.code, found.status]).toEqual([409, 'invalid_transition', 'succeeded']);
      if (found.status === 'succeeded') expect(found.assistant_message.content).toBe('one two three');
      return found.status as string;
    };
    const results = new Set<string>();
    // The moment depends on how busy the machine is. So the cancels spread out until both outcomes have been seen.
    for (let apart = 12; results.size < 2 && apart < 400; apart *= 3) {
      const races = Array.from({ length: 40 }, (_, n) => race(`racer-${apart}-${n}`, n * apart));
      for (const result of await Promise.all(races)) results.add(result);
    }
    expect(results).toEqual(new Set(['canceled', 'succeeded']));
  });

  it('of another user’s job, or of an unknown one, changes nothing', async () => {
    const leo = stack.as('leo');
    await stack.model.script('mind your own', { delay_ms: 1_000 });
    const job = await leo.turnAsync((await leo.chat()).id, 'mind your own');
    await until(async () => (await callOf('mind your own')) !== undefined, 'the call');
    expect((await cancel('mallory', job.id)).status).toBe(404);
    expect(await leo.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
  });
});
