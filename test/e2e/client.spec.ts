import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  type ApiError,
  ConnectionError,
  type JobErrorCode,
  type JobEvent,
  type JobEvents,
  Rejoinder,
  type RejoinderOptions,
  remedyFor,
  TurnError,
} from '@rejoinder/client';
import { borrowStack } from '../support/borrow-stack.js';
import { BadLine, type Fault } from '../support/bad-line.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** The text that a reader shows in the end: deltas are added, and a reset begins anew. */
function shown(events: readonly JobEvent[]): string {
  let text = '';
  for (const event of events) {
    if (event.type === 'reset') text = text.slice(0, event.offset);
    if (event.type === 'delta') text += event.text;
  }
  return text;
}

async function all(events: JobEvents): Promise<JobEvent[]> {
  const list: JobEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

const slowPieces = (count: number, piece_delay_ms: number): object => ({
  pieces: Array.from({ length: count }, (_, n) => `pieza ${n} 😀\ndata: x\n\n`),
  piece_delay_ms,
});

describe('the client', () => {
  let stack: Stack;
  const lines: BadLine[] = [];
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(async () => {
    lines.forEach((line) => line.close());
    await stack.stop();
  });

  const as = (user: string, options: Partial<RejoinderOptions> = {}): Rejoinder =>
    new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user), onRetry: () => undefined, ...options });
  /** A line on which each request has a connection of its own. */
  const badLine = async (
    faultOf: (n: number) => Fault | undefined,
  ): Promise<Partial<RejoinderOptions> & { connections: () => number }> => {
    const line = await BadLine.to(stack.api.url, faultOf);
    lines.push(line);
    return {
      baseUrl: line.url,
      connections: () => line.connections,
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init?.headers, connection: 'close' } }),
    };
  };
  const jobsOf = async (chatId: string): Promise<number> => {
    const { rows } = await stack.database.query('SELECT count(*)::int AS n FROM jobs WHERE chat_id = $1', [chatId]);
    return rows[0].n as number;
  };

  it('opens a chat, streams a turn, waits for one, starts one, and reads them back', async () => {
    const ana = as('ana');
    expect((await ana.listAssistants()).map(({ slug }) => slug)).toEqual(['billing', 'general', 'support']);
    expect((await ana.getAssistant('support')).version).toBe(1);
    const chat = await ana.openChat('support', { title: 'Reinstalar', metadata: { page: 'faq' } });
    expect(chat).toMatchObject({ title: 'Reinstalar', messages: [{ role: 'system' }] });
    expect((await ana.openChat('support')).id).toBe(chat.id);

    const stream = ana.streamTurn(chat.id, { user_message: 'Uno', metadata: { n: '1' } });
    const events = await all(stream);
    expect([events[0]?.type, events.at(-1)]).toMatchObject(['job', { type: 'job', job: { status: 'succeeded' } }]);
    const turn = await ana.sendTurn(chat.id, 'Dos');
    const job = await ana.startTurn(chat.id, 'Tres');
    const done = await ana.waitForJob(job.id);

    const { data } = await ana.listMessages(chat.id);
    expect(data.map(({ content }) => content)).toEqual([
      chat.messages[0]?.content,
      'Uno',
      shown(events),
      'Dos',
      turn.assistant_message?.content,
      'Tres',
      done.assistant_message?.content,
    ]);
    expect(await stream.reply()).toBe(stream.message);
    expect([stream.text, stream.message?.content, stream.jobId, stream.lastEventId]).toEqual([
      data[2]?.content,
      data[2]?.content,
      data[2]?.job_id,
      'end',
    ]);
    const stored = await ana.createMessage(chat.id, { content: 'Cuatro' });
    const asked = await ana.requestReply(chat.id);
    expect((await ana.followJob(asked.id).reply()).seq).toBe(stored.seq + 1);
    expect((await ana.listChats({ assistant: 'support', status: 'active' })).data).toMatchObject([{ id: chat.id }]);
  });

  // These tests mostly wait, so they run at the same time.
  it.concurrent('shows each piece of a reply once, in order, on a line that breaks again and again', async () => {
    const chat = await as('ben').openChat('support');
    await stack.model.script('on a bad line', slowPieces(60, 40));
    // Cuts in the middle of headers, events and characters.
    const line = await badLine((n) => (n < 9 ? { cutAfter: 150 + n * 211 } : undefined));
    const ben = as('ben', line);
    const stream = ben.streamTurn(chat.id, 'on a bad line');
    const events = await all(stream);
    const kept = (await as('ben').listMessages(chat.id)).data.at(-1);
    expect(shown(events)).toBe(kept?.content);
    expect([stream.text, stream.message]).toEqual([kept?.content, kept]);
    expect(events.some(({ type }) => type === 'reset')).toBe(false);
    expect(line.connections()).toBeGreaterThan(5);
    expect(await jobsOf(chat.id)).toBe(1);
  });

  it.concurrent('has no turn done twice when an answer is lost, however the turn is sent', async () => {
    const chat = await as('cleo').openChat('support');
    const lossy = async (): Promise<Rejoinder> => as('cleo', await badLine((n) => ({ loseAnswer: n < 2 })));
    const turn = await (await lossy()).sendTurn(chat.id, 'once');
    const job = await (await lossy()).startTurn(chat.id, 'twice');
    await as('cleo').waitForJob(job.id);
    const reply = await (await lossy()).streamTurn(chat.id, 'thrice').reply();
    expect([turn.assistant_message?.seq, reply.seq, await jobsOf(chat.id)]).toEqual([3, 7, 3]);
    const message = await (await lossy()).createMessage(chat.id, { content: 'said' });
    expect(message.seq).toBe(8);
    const opened = await (await lossy()).openChat('billing');
    expect((await as('cleo').listChats({ assistant: 'billing' })).data.map(({ id }) => id)).toEqual([opened.id]);
  });

  it.concurrent('goes on when the API is restarted in the middle of a reply', async () => {
    const dan = as('dan');
    const [chat, other] = [await dan.openChat('support'), await dan.openChat('billing')];
    await stack.model.script('restarted', slowPieces(60, 50));
    const api = await stack.startApi();
    const through = as('dan', { baseUrl: api.url });
    const waited = through.sendTurn(other.id, 'restarted');
    const stream = through.streamTurn(chat.id, 'restarted');
    const events: JobEvent[] = [];
    let restarted: Promise<unknown> | undefined;
    for await (const event of stream) {
      events.push(event);
      if (event.type === 'delta') restarted ??= api.stop().then(() => stack.again(api));
    }
    await restarted;
    const kept = (await dan.listMessages(chat.id)).data.at(-1)?.content;
    expect([shown(events), stream.text, (await waited).assistant_message?.content]).toEqual([kept, kept, kept]);
  });

  it('starts over when an attempt is lost, and ends with the stored text', async () => {
    const eva = as('eva');
    const chat = await eva.openChat('support');
    await stack.model.script('dying', { pieces: ['first ', 'attempt '], piece_delay_ms: 100, stall_after: 2 }, 1);
    await stack.model.script('dying', { text: 'the second attempt, whole' });
    const stream = eva.streamTurn(chat.id, 'dying');
    const events: JobEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (shown(events) !== 'first attempt ') continue;
      stack.workers[0]?.process.kill('SIGKILL');
      await stack.startWorker();
    }
    expect(events.filter(({ type }) => type === 'reset')).toEqual([
      { type: 'reset', attempt: 2, offset: 0, reasoningOffset: 0 },
    ]);
    expect([shown(events), stream.text]).toEqual(['the second attempt, whole', 'the second attempt, whole']);
    // A client that has the first attempt's beginning from elsewhere also gets the reset.
    const late = await all(eva.followJob(stream.jobId ?? '', { lastEventId: '1.6' }));
    expect([late[0]?.type, shown(late)]).toEqual(['reset', 'the second attempt, whole']);
  });

  it('can be left and resumed elsewhere: leaving cancels nothing', async () => {
    const flo = as('flo');
    const chat = await flo.openChat('support');
    await stack.model.script('left', slowPieces(30, 40));
    const stream = flo.streamTurn(chat.id, 'left');
    for await (const event of stream) if (event.type === 'delta') break;
    const rest = flo.followJob(stream.jobId ?? '', { lastEventId: stream.lastEventId });
    const before = stream.text;
    await rest.reply();
    expect(rest.message?.content.startsWith(before)).toBe(true);
    const events = await all(flo.followJob(stream.jobId ?? '', { lastEventId: stream.lastEventId }));
    expect(before + shown(events)).toBe(rest.message?.content);
    // A client that has the end gets no more events.
    expect(await all(flo.followJob(stream.jobId ?? '', { lastEventId: 'end' }))).toEqual([]);

    const leave = new AbortController();
    const another = flo.streamTurn(chat.id, 'left', { signal: leave.signal });
    const reading = (async () => {
      for await (const event of another) if (event.type === 'delta') leave.abort(new Error('enough'));
    })();
    await expect(reading).rejects.toThrow('enough');
    expect((await flo.waitForJob(another.jobId ?? '')).status).toBe('succeeded');
  });

  it('cancels, and keeps the text so far', async () => {
    const gus = as('gus');
    const chat = await gus.openChat('support');
    await stack.model.script('endless', slowPieces(400, 40));
    const stream = gus.streamTurn(chat.id, 'endless');
    for await (const event of stream) {
      if (event.type === 'delta') expect((await gus.cancelJob(stream.jobId ?? '')).status).toBe('canceled');
    }
    expect(stream.job?.status).toBe('canceled');
    expect(stream.message).toMatchObject({ status: 'incomplete', content: stream.text });
    expect((await gus.cancelJob(stream.jobId ?? '')).status).toBe('canceled');
    // Before the first piece there is no text to keep.
    await stack.model.script('speechless', { hang_before_headers: true });
    const silent = gus.streamTurn(chat.id, 'speechless');
    const nothing = expect(silent.reply()).rejects.toThrow(TurnError);
    await until(async () => silent.jobId, 'the job');
    await gus.cancelJob(silent.jobId ?? '');
    await nothing;
  });

  it.concurrent('yields the job’s states by polling, too', async () => {
    const hal = as('hal');
    const chat = await hal.openChat('support');
    await stack.model.script('polled', { text: 'done', delay_ms: 1_500 });
    const job = await hal.startTurn(chat.id, 'polled');
    const states: string[] = [];
    for await (const { status } of hal.pollJob(job.id)) states.push(status);
    expect(states.filter((status) => status !== 'queued')).toEqual(['running', 'succeeded']);
  });

  it('revalidates with the ETag, and gives the same object again', async () => {
    const answers: number[] = [];
    const counted: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      answers.push(response.status);
      return response;
    };
    const ida = as('ida', { fetch: counted });
    const chat = await ida.openChat('support');
    const first = await ida.listMessages(chat.id);
    expect(await ida.listMessages(chat.id)).toBe(first);
    await ida.createMessage(chat.id, { content: 'news' });
    expect((await ida.listMessages(chat.id)).data).toHaveLength(2);
    expect(answers).toEqual([201, 200, 304, 201, 200]);
  });

  it('never gives one user another’s answer, even if they share a client', async () => {
    let user = 'jil';
    const statuses: number[] = [];
    const shared = as('jil', {
      token: () => tokenFor(user),
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        statuses.push(response.status);
        return response;
      },
    });
    const { id } = await shared.openChat('support');
    expect([(await shared.listChats()).data.length, (await shared.getChat(id)).id]).toEqual([1, id]);
    user = 'joe';
    expect((await shared.listChats()).data).toEqual([]);
    await expect(shared.getChat(id)).rejects.toMatchObject({ code: 'not_found' });
    user = 'jil';
    expect((await shared.getChat(id)).id).toBe(id);
    expect(statuses).toEqual([201, 200, 200, 200, 404, 304]);
  });

  it('goes through the whole history page by page', async () => {
    const jan = as('jan');
    const chat = await jan.openChat('support');
    for (let n = 2; n <= 25; n++) await jan.createMessage(chat.id, { content: `message ${n}` });
    const pages: number[][] = [];
    for await (const { data } of jan.pages(chat.id, { limit: 10 })) pages.push(data.map(({ seq }) => seq));
    expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
    expect(pages.reverse().flat()).toEqual(Array.from({ length: 25 }, (_, n) => n + 1));
  });

  it('throws errors that say what to do', async () => {
    const kim = as('kim');
    const chat = await kim.openChat('support');
    const thrown = (call: Promise<unknown>): Promise<ApiError> =>
      call.then(
        () => Promise.reject(new Error('nothing was thrown')),
        (error: unknown) => error as ApiError,
      );
    expect(await thrown(kim.openChat('nobody'))).toMatchObject({ status: 404, code: 'not_found' });
    expect(await thrown(kim.openChat('../../health/live'))).toMatchObject({ status: 404, code: 'not_found' });
    expect(await thrown(kim.sendTurn(chat.id, ' '))).toMatchObject({
      code: 'validation_failed',
      details: [{ field: 'user_message', message: 'must not be blank' }],
    });
    expect(await thrown(as('kim', { token: 'nonsense' }).listChats())).toMatchObject({ code: 'unauthorized' });
    expect((await thrown(kim.getChat(chat.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'))))).requestId).toMatch(
      /^[0-9a-f-]{36}$/,
    );

    await stack.model.script('kept waiting', { text: 'x', delay_ms: 1_000 });
    const job = await kim.startTurn(chat.id, 'kept waiting');
    expect(await thrown(kim.sendTurn(chat.id, 'me too'))).toMatchObject({ code: 'turn_in_progress', jobId: job.id });
    await kim.waitForJob(job.id);

    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    expect(await thrown(kim.sendTurn(chat.id, 'refused'))).toMatchObject({ status: 502, code: 'assistant_failed' });
    const stream = kim.streamTurn(chat.id, 'refused');
    const events: JobEvent[] = [];
    const reading = (async () => {
      for await (const event of stream) events.push(event);
    })();
    expect(await thrown(reading)).toMatchObject({ name: 'TurnError', job: { error: { code: 'model_rejected' } } });
    expect(events.at(-1)).toMatchObject({ type: 'job', job: { status: 'failed' } });
    expect(events.at(-2)).toMatchObject({ type: 'failure', error: { code: 'assistant_failed', job_id: stream.jobId } });
    const failed = await thrown(kim.followJob(stream.jobId ?? '').reply());
    expect(failed).toBeInstanceOf(TurnError);
    expect(failed).toMatchObject({ job: { id: stream.jobId, status: 'failed', error: { code: 'model_rejected' } } });

    const seen = await kim.getChat(chat.id);
    await kim.updateChat(chat.id, { title: 'another' });
    expect(await thrown(kim.updateChat(chat.id, { title: 'mine' }, { ifUnchanged: seen }))).toMatchObject({
      code: 'precondition_failed',
    });
    const now = await kim.getChat(chat.id);
    expect((await kim.updateChat(chat.id, { status: 'closed' }, { ifUnchanged: now })).status).toBe('closed');
    expect(await thrown(kim.startTurn(chat.id, 'too late'))).toMatchObject({ code: 'chat_not_active' });
  });

  it('returns an incomplete reply as a reply, even without text, and says which messages the model does not get any more', async () => {
    const ivy = as('ivy');
    const { id } = await ivy.openChat('support');
    const explanation = '<b>This could do harm.</b>';
    const stop_details = { category: 'cyber', explanation };
    await stack.model.script('refuse this', { empty_content: true, stop_reason: 'refusal', stop_details }, 1);
    const refused = await ivy.streamTurn(id, 'refuse this').reply();
    expect(refused).toMatchObject({ ...{ content: '', status: 'incomplete' }, stop_reason: 'refusal', stop_details });
    await stack.model.script('cut this', { text: 'as far as', stop_reason: 'max_tokens' }, 1);
    const { assistant_message: cut } = await ivy.sendTurn(id, 'cut this');
    expect(cut).toMatchObject({ content: 'as far as', status: 'incomplete', stop_reason: 'max_tokens' });
    const { data } = await ivy.listMessages(id);
    expect(data.map(({ in_context }) => in_context)).toEqual([undefined, false, false, undefined, undefined]);
  });

  it('says what helps after a failed turn', async () => {
    const joy = as('joy');
    const { id } = await joy.openChat('support');
    for (const [script, code, remedy] of [
      [{ status: 400, error_type: 'invalid_request_error', message: 'no' }, 'model_rejected', 'another_message'],
      [{ status: 413, error_type: 'request_too_large', message: 'no' }, 'message_too_long', 'shorten'],
    ] as const) {
      await stack.model.script(`fail as ${code}`, script);
      const failed = await joy
        .streamTurn(id, `fail as ${code}`)
        .reply()
        .catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(TurnError);
      const { error } = (failed as TurnError).job;
      expect([error?.code, remedyFor(error?.code as JobErrorCode)]).toEqual([code, remedy]);
    }
  });

  it('tries again for as long as configured, and then reports that there is no answer', async () => {
    const page = 'HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>Bad Gateway</h1>';
    const passing = as('lea', await badLine((n) => (n < 2 ? { answer: page } : undefined)));
    const chat = await passing.openChat('support');
    const dead = await badLine(() => ({ answer: page }));
    const lasting = as('lea', { ...dead, retryForMs: 700, reconnectForMs: 700 });
    await expect(lasting.getChat(chat.id)).rejects.toThrow('answered 502');
    await expect(lasting.streamTurn(chat.id, 'hello').reply()).rejects.toThrow(ConnectionError);
    expect(dead.connections()).toBeGreaterThan(2);
    const nobody = as('lea', { baseUrl: 'http://127.0.0.1:9', retryForMs: 0 });
    await expect(nobody.listChats()).rejects.toThrow('cannot be reached');
    expect(() => new Rejoinder({ token: 'x' })).toThrow(TypeError);
  });

  it.concurrent('asks for a new token, so that a stream outlives the token that opened it', async () => {
    const [mia, tokens] = [as('mia'), [] as string[]];
    const chat = await mia.openChat('support');
    await stack.model.script('patience', { pieces: ['a', 'b'], piece_delay_ms: 7_000 });
    const job = await mia.startTurn(chat.id, 'patience');
    const renewing = as('mia', {
      token: async () => {
        const exp = Math.floor(Date.now() / 1000) + (tokens.length === 0 ? 2 : 3600);
        tokens.push(tokenFor('mia', { exp }));
        return tokens.at(-1) ?? '';
      },
    });
    const events = await all(renewing.followJob(job.id));
    expect([shown(events), tokens.length]).toEqual(['ab', 2]);
  });

  it('gives up a silent stream, and opens another', async () => {
    jest.useFakeTimers();
    try {
      const job = { id: 'j', status: 'succeeded' };
      const answers = [
        new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode(':\n\n')) })),
        new Response(`id: end\nevent: job\ndata: ${JSON.stringify(job)}\n\n`),
      ];
      const asked: number[] = [];
      const events = all(
        as('nia', {
          fetch: async (_url, init) => {
            asked.push(Date.now());
            const answer = answers[asked.length - 1] ?? Response.error();
            // As fetch does it: the body ends with the signal.
            const cancel = (): void => void answer.body?.cancel().catch(() => undefined);
            const body = answer.body?.pipeThrough(new TransformStream(), { signal: init?.signal as AbortSignal });
            init?.signal?.addEventListener('abort', cancel);
            return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
          },
        }).followJob('j'),
      );
      await jest.advanceTimersByTimeAsync(29_000);
      expect(asked).toHaveLength(1);
      await jest.advanceTimersByTimeAsync(5_000);
      expect(await events).toMatchObject([{ type: 'job', job }]);
    } finally {
      jest.useRealTimers();
    }
  });
});
