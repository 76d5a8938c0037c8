import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import type { App } from '../support/processes.js';
import { collect, openStream, type OpenedStream, type StreamEvent, textOf } from '../support/events.js';
import { type Stack, tokenFor } from '../support/stack.js';

const names = (events: readonly StreamEvent[]): string[] =>
  events.map(({ event, data }) => (event === 'job' ? `job ${data.status}` : event));
const withoutDeltas = (events: readonly StreamEvent[]): string[] => names(events).filter((name) => name !== 'delta');

describe('a stream of events', () => {
  let stack: Stack;
  let other: App;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
    other = await stack.startApi();
  });
  afterAll(() => stack.stop());

  const send = (user: string, chatId: string, text: string): Promise<OpenedStream> =>
    openStream(stack.api.url, tokenFor(user), `/api/v1/chats/${chatId}/turns`, { body: { user_message: text } });
  const follow = (user: string, jobId: string, lastEventId?: string, app: App = stack.api): Promise<OpenedStream> =>
    openStream(app.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`, {
      headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    });
  /** Leaves each stream at its next piece, and resumes it with `open`, which gets the last id and the number of streams so far. */
  const pieceByPiece = async (open: (last: string | undefined, n: number) => Promise<OpenedStream>) => {
    let text = '';
    let last: string | undefined;
    let streams = 0;
    while (last !== 'end') {
      const stream = await open(last, streams);
      streams += 1;
      for await (const event of stream.events) {
        text = textOf([event], text);
        last = event.id;
        if (event.event === 'delta') break;
      }
      stream.close();
    }
    return { text, streams };
  };
  const slowPieces = (count: number, piece_delay_ms: number): object => ({
    pieces: Array.from({ length: count }, (_, n) => `pieza ${n} 😀\ndata: x\n\n`),
    piece_delay_ms,
  });

  it('shows a turn from the first state to the last, its text as it is written, and ends', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('a story', slowPieces(20, 20));
    const stream = await send('ana', chat.id, 'a story');
    expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(stream.headers.get('cache-control')).toContain('no-transform');
    expect(stream.headers.get('x-accel-buffering')).toBe('no');
    const events = await collect(stream);
    expect(stream.headers.get('location')).toBe(`../../jobs/${events[0]?.data.id}`);
    // A quick worker may have begun before the first look.
    expect(withoutDeltas(events).slice(-3)).toEqual(['job running', 'message', 'job succeeded']);
    expect(names(events).filter((name) => name === 'delta').length).toBeGreaterThan(3);
    const message = events.find(({ event }) => event === 'message')?.data;
    expect(textOf(events)).toBe(message.content);
    expect(message.content).toBe((await ana.get(`/api/v1/chats/${chat.id}/messages`)).body.data.at(-1).content);
    expect(events.at(-1)).toMatchObject({ id: 'end', data: { assistant_message: message } });
  });

  it('is resumed at every piece, on alternating APIs, with nothing lost and nothing doubled', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    await stack.model.script('in pieces', slowPieces(25, 60));
    const job = await ben.turnAsync(chat.id, 'in pieces');
    const { text, streams } = await pieceByPiece((last, n) =>
      follow('ben', job.id, last, n % 2 === 0 ? stack.api : other),
    );
    // The number of pieces between two of them depends on the machine.
    expect(streams).toBeGreaterThan(3);
    const { assistant_message } = (await ben.get(`/api/v1/jobs/${job.id}`)).body;
    expect(text).toBe(assistant_message.content);
  });

  it.each(['chats', 'assistants/support/chats'])(
    'is resumed by sending the turn again with its key, at every piece, and never makes another turn: %s',
    async (space) => {
      const user = `again by ${space}`;
      const uma = stack.as(user);
      const chat = await uma.chat();
      await stack.model.script('sent again', slowPieces(15, 60));
      const headers = { 'idempotency-key': 'one turn' };
      const again = (last: string, app: App): Promise<OpenedStream> =>
        openStream(app.url, tokenFor(user), `/api/v1/${space}/${chat.id}/turns`, {
          body: { user_message: 'sent again' },
          headers: { ...headers, 'last-event-id': last },
        });
      const { text, streams } = await pieceByPiece(async (last, n) => {
        // The first request has no last id.
        const stream = await again(last ?? '', n % 2 === 0 ? stack.api : other);
        expect(stream.headers.get('idempotent-replayed')).toBe(n === 0 ? null : 'true');
        return stream;
      });
      expect(streams).toBeGreaterThan(3);
      const { data } = (await uma.get(`/api/v1/chats/${chat.id}/messages`)).body;
      expect([data.length, data.at(-1).content]).toEqual([3, text]);
      expect(await stack.model.calls('sent again')).toHaveLength(space === 'chats' ? 1 : 2);

      const ask = (key: string | undefined, lastEventId: string, content = 'sent again') =>
        uma.post(
          `/api/v1/${space}/${chat.id}/turns`,
          { user_message: content },
          { accept: 'text/event-stream', 'last-event-id': lastEventId, ...(key && { 'idempotency-key': key }) },
        );
      const all = await ask('one turn', 'end');
      expect([all.status, all.body, all.headers.get('idempotent-replayed')]).toEqual([204, undefined, 'true']);
      for (const id of ['1.6', '0.0', 'end', 'x']) {
        for (const key of [undefined, 'another turn']) {
          const { status, body } = await ask(key, id);
          expect([status, body.code, body.details[0].field]).toEqual([422, 'validation_failed', 'Last-Event-ID']);
        }
      }
      expect((await ask('one turn', '1.6', 'something else')).body.code).toBe('idempotency_key_reused');
      expect((await uma.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(3);
      expect((await uma.request('DELETE', `/api/v1/chats/${chat.id}`)).status).toBe(204);
      expect([(await ask('one turn', '1.6')).status, (await ask('one turn', 'end')).status]).toEqual([404, 404]);
    },
  );

  it('gives a late client the text so far at once, and the rest as it comes', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    await stack.model.script('already under way', slowPieces(60, 50));
    const job = await eva.turnAsync(chat.id, 'already under way');
    const first = await follow('eva', job.id);
    const seen: StreamEvent[] = [];
    for await (const event of first.events) {
      seen.push(event);
      if (textOf(seen).length > 200) break;
    }
    const late = await follow('eva', job.id, undefined, other);
    const early: StreamEvent[] = [];
    for await (const event of late.events) {
      early.push(event);
      if (textOf(early).length >= textOf(seen).length) break;
    }
    // Long before the job ends, and before a heartbeat has saved this text.
    expect((await eva.get(`/api/v1/jobs/${job.id}`)).body.status).toBe('running');
    expect(textOf(early).startsWith(textOf(seen))).toBe(true);
    late.close();
    await eva.finalJob(job.id);
  });

  it('is resumed long after the end: the rest, the message, and `end` for good', async () => {
    const kim = stack.as('kim');
    const chat = await kim.chat();
    await stack.model.script('over', { text: 'Hola, ¿qué tal? 😀 Adiós.' });
    const turn = await kim.turn(chat.id, 'over');
    const jobId = turn.body.job_id as string;
    const whole = await collect(await follow('kim', jobId));
    expect([names(whole), textOf(whole)]).toEqual([
      ['delta', 'message', 'job succeeded'],
      turn.body.assistant_message.content,
    ]);
    const rest = await collect(await follow('kim', jobId, '1.6', other));
    expect(rest[0]?.data).toEqual({ offset: 6, text: '¿qué tal? 😀 Adiós.' });
    const all = await collect(await follow('kim', jobId, `1.${turn.body.assistant_message.content.length}`));
    expect(names(all)).toEqual(['message', 'job succeeded']);
    const byQuery = await openStream(stack.api.url, tokenFor('kim'), `/api/v1/jobs/${jobId}/events?last_event_id=1.6`);
    expect(await collect(byQuery)).toEqual(rest);
    const end = await kim.get(`/api/v1/jobs/${jobId}/events`, { headers: { 'last-event-id': 'end' } });
    expect([end.status, end.body]).toEqual([204, undefined]);
  });

  it('reports a failed job, and a canceled one with the text that was kept', async () => {
    const leo = stack.as('leo');
    const chat = await leo.chat();
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    const failed = await collect(await send('leo', chat.id, 'refused'));
    expect(withoutDeltas(failed).slice(-2)).toEqual(['failure', 'job failed']);
    expect(failed.at(-2)?.data).toMatchObject({ code: 'assistant_failed', job_id: failed[0]?.data.id });

    const another = await leo.chat('billing');
    await stack.model.script('a long one', slowPieces(400, 50));
    const stream = await send('leo', another.id, 'a long one');
    const events: StreamEvent[] = [];
    for await (const event of stream.events) {
      events.push(event);
      if (event.event === 'delta' && events.filter(({ event }) => event === 'delta').length === 3) {
        await leo.patch(`/api/v1/jobs/${events[0]?.data.id}`, { status: 'canceled' });
      }
    }
    expect(names(events).at(-1)).toBe('job canceled');
  });

  it('starts over with `reset` when a worker dies in mid-reply, and has the second attempt’s text', async () => {
    const mia = stack.as('mia');
    const chat = await mia.chat();
    await stack.model.script(
      'dying',
      { pieces: ['first ', 'attempt ', 'and '], piece_delay_ms: 200, stall_after: 3 },
      1,
    );
    await stack.model.script('dying', { text: 'the second attempt, whole' });
    const stream = await send('mia', chat.id, 'dying');
    const events: StreamEvent[] = [];
    for await (const event of stream.events) {
      events.push(event);
      if (textOf(events) === 'first attempt and ') {
        await stack.workers.pop()?.kill();
        stack.workers.push(await stack.startWorker());
      }
    }
    // A second attempt that ends within milliseconds may be seen only at its end, without its `running`.
    const received = withoutDeltas(events).filter((name) => name !== 'job running');
    expect(received.slice(-3)).toEqual(['reset', 'message', 'job succeeded']);
    expect(textOf(events)).toBe('the second attempt, whole');
    expect(events.at(-1)?.data).toMatchObject({ attempts: 2 });
    // A client that left during the first attempt also gets the reset.
    const resumed = await collect(await follow('mia', events[0]?.data.id as string, '1.6'));
    expect(names(resumed)).toEqual(['reset', 'delta', 'message', 'job succeeded']);
  });

  it('is complete even if its reader resumes at every piece, on alternating APIs, and its worker dies in between', async () => {
    const una = stack.as('una');
    const chat = await una.chat();
    await stack.model.script('hunted', slowPieces(30, 60), 1);
    await stack.model.script('hunted', {
      pieces: Array.from({ length: 25 }, (_, n) => `second attempt, piece ${n} 😀\n`),
      piece_delay_ms: 60,
    });
    const job = await una.turnAsync(chat.id, 'hunted');
    let text = '';
    let last: string | undefined;
    const received: string[] = [];
    for (let streams = 0; last !== 'end'; streams++) {
      const stream = await follow('una', job.id, last, streams % 2 === 0 ? stack.api : other);
      for await (const event of stream.events) {
        text = textOf([event], text);
        last = event.id;
        received.push(event.event);
        if (event.event === 'delta') break;
      }
      stream.close();
      // Long before the reply ends, however slow the machine is.
      if (streams !== 3) continue;
      await stack.workers.pop()?.kill();
      stack.workers.push(await stack.startWorker());
    }
    expect(received.filter((event) => event === 'reset')).toHaveLength(1);
    expect(received.indexOf('reset')).toBeGreaterThan(3);
    const { assistant_message } = (await una.get(`/api/v1/jobs/${job.id}`)).body;
    expect(assistant_message.content).toContain('second attempt');
    expect(text).toBe(assistant_message.content);
  });

  it('resets a client that claims text of a job that has not begun', async () => {
    const ima = stack.as('ima');
    const chat = await ima.chat();
    await stack.database.query('UPDATE dispatch SET paused = true');
    try {
      const { id } = await ima.turnAsync(chat.id, 'not begun');
      const stream = await openStream(stack.api.url, ima.token ?? '', `/api/v1/jobs/${id}/events`, {
        headers: { 'last-event-id': '3.14' },
      });
      const { value: reset } = await stream.events.next();
      const { value: job } = await stream.events.next();
      stream.close();
      expect([reset?.event, reset?.data, job?.event, job?.data.status]).toEqual([
        'reset',
        { attempt: 1, offset: 0, reasoning_offset: 0 },
        'job',
        'queued',
      ]);
    } finally {
      await stack.database.query('UPDATE dispatch SET paused = false');
    }
  });

  it('never cancels when it is left, and is closed to other users and to invalid ids', async () => {
    const ned = stack.as('ned');
    const chat = await ned.chat();
    await stack.model.script('left alone', slowPieces(10, 50));
    const stream = await send('ned', chat.id, 'left alone');
    const first = await stream.events.next();
    stream.close();
    const jobId = (first.value as StreamEvent).data.id as string;
    expect((await ned.finalJob(jobId)).status).toBe('succeeded');

    expect((await stack.as('eve').get(`/api/v1/jobs/${jobId}/events`)).status).toBe(404);
    for (const id of ['1', 'x', '1.', '-1.0', '1.0.0', '1.99999999999']) {
      const answer = await ned.get(`/api/v1/jobs/${jobId}/events`, { headers: { 'last-event-id': id } });
      expect([answer.status, answer.body.details?.[0]?.field]).toEqual([422, 'Last-Event-ID']);
    }
    const head = await ned.request('HEAD', `/api/v1/jobs/${jobId}/events`);
    expect([head.status, head.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  });

  it('ends in order when its API stops, and can be resumed at another', async () => {
    const oda = stack.as('oda');
    const chat = await oda.chat();
    const stopping = await stack.startApi();
    await stack.model.script('moving house', slowPieces(40, 50));
    const job = await oda.turnAsync(chat.id, 'moving house');
    const first = await follow('oda', job.id, undefined, stopping);
    const events: StreamEvent[] = [];
    let ended: Promise<number | null> | undefined;
    for await (const event of first.events) {
      events.push(event);
      if (event.event === 'delta') ended ??= stopping.stop();
    }
    expect(await ended).toBe(0);
    expect(events.at(-1)?.id).not.toBe('end');
    events.push(...(await collect(await follow('oda', job.id, events.at(-1)?.id, other))));
    expect(textOf(events)).toBe((await oda.finalJob(job.id)).assistant_message?.content);
  });
});
