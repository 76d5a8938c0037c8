import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiError, ConnectionError, type Message, Rejoinder, type RejoinderOptions } from '@rejoinder/client';
import { RejoinderChatTransport, RestartError, toUIMessages } from '@rejoinder/client/ai-sdk';
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from 'ai';
import { faults, judge, Page, textOf } from '../support/chat-page.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

describe('useChat, through the transport', () => {
  let stack: Stack;
  let api: App;
  let worker: App;
  beforeAll(async () => {
    stack = await startStack();
    api = stack.api;
    worker = stack.workers[0] as App;
  });
  afterEach(() => expect(faults).toEqual([]));
  afterAll(() => stack.stop());

  const clientOf = (user: string, options: Partial<RejoinderOptions> = {}): Rejoinder =>
    new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user), onRetry: () => undefined, ...options });
  const kept = async (user: string, chatId: string): Promise<Message> =>
    (await clientOf(user).listMessages(chatId)).data.at(-1) as Message;
  const slowPieces = (count: number, piece_delay_ms: number): object => ({
    pieces: Array.from({ length: count }, (_, n) => `pieza ${n} 😀\n\n`),
    piece_delay_ms,
  });
  /** The page must show only the stored messages. */
  const showsWhatIsKept = async (page: Page, user: string): Promise<void> => {
    const message = await kept(user, page.id);
    const [expected] = toUIMessages([message]);
    expect(page.lastMessage).toMatchObject({ ...expected });
    expect(page.lastMessage?.parts).toHaveLength(1);
    expect(page.messages.filter((one) => one.id === expected?.id)).toHaveLength(1);
  };

  it('shows a turn as it is written, and at the end the stored message with its metadata', async () => {
    const client = clientOf('ana');
    const opened = await client.openChat('support');
    await stack.model.script('a story', slowPieces(20, 60));
    const page = new Page(new RejoinderChatTransport({ client }), {
      id: opened.id,
      messages: toUIMessages(opened.messages),
    });
    const sent = page.sendMessage({ text: 'a story' });
    const seen = new Set<string>();
    const statuses = new Set<string>();
    await until(async () => {
      statuses.add(page.status);
      seen.add(page.text);
      return page.status === 'ready' && page.text !== '';
    }, 'the reply');
    await sent;
    expect([...statuses].filter((status) => status !== 'ready')).toEqual(['submitted', 'streaming']);
    expect(seen.size).toBeGreaterThan(3);
    const history = (await client.listMessages(opened.id)).data;
    expect(page.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant']);
    expect(page.messages.map(textOf)).toEqual(history.map(({ content }) => content));
    const message = history.at(-1) as Message;
    expect(page.lastMessage).toEqual({
      id: message.job_id,
      role: 'assistant',
      parts: [{ type: 'text', text: message.content, state: 'done' }],
      metadata: {
        job_id: message.job_id,
        job_status: 'succeeded',
        attempts: 1,
        message_id: message.id,
        seq: 3,
        status: 'complete',
        created_at: message.created_at,
        model: message.model,
        stop_reason: 'end_turn',
        usage: message.usage,
      },
    });
    // After a reload the page begins with the same.
    await showsWhatIsKept(page, 'ana');
  });

  it('is a stream of the package’s chunks, also for its other readers', async () => {
    const client = clientOf('ben');
    const { id: chatId } = await client.openChat('support');
    const stream = await new RejoinderChatTransport({ client }).sendMessages({
      trigger: 'submit-message',
      chatId,
      messageId: undefined,
      messages: [{ id: 'first', role: 'user', parts: [{ type: 'text', text: 'Hola' }] }],
      abortSignal: undefined,
    });
    const chunks: UIMessageChunk[] = [];
    const [one, other] = stream.tee();
    for await (const chunk of one as AsyncIterable<UIMessageChunk>) chunks.push(chunk);
    expect(await Promise.all(chunks.map(judge))).toEqual(chunks.map(() => true));
    expect(await judge({ type: 'text-delta', id: 'x' })).toBe(false);
    const types = chunks.map(({ type }) => type);
    expect([types[0], types.at(-1), chunks.at(-1)]).toMatchObject(['start', 'finish', { finishReason: 'stop' }]);
    let last: UIMessage | undefined;
    for await (const message of readUIMessageStream({ stream: other, terminateOnError: true })) last = message;
    expect(last && textOf(last)).toBe((await kept('ben', chatId)).content);
  });

  it('stops: the turn is canceled, the text stays, there is no error, and the next turn is accepted', async () => {
    const order: string[] = [];
    const client = clientOf('eva', {
      fetch: async (input, init) => {
        if ((input as string).endsWith('/turns')) order.push('a turn is sent');
        const response = await fetch(input, init);
        if (init?.method === 'PATCH') order.push('the cancel is answered');
        return response;
      },
    });
    const { id } = await client.openChat('support');
    await stack.model.script('a long one', slowPieces(400, 50));
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    const sent = page.sendMessage({ text: 'a long one' });
    await page.has('pieza 3');
    const stopped = page.stop();
    const next = page.sendMessage({ text: 'and now?' });
    await Promise.all([stopped, sent, next]);
    expect([page.status, page.error]).toEqual(['ready', undefined]);
    expect(order).toEqual(['a turn is sent', 'the cancel is answered', 'a turn is sent']);
    expect(page.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
    const [, , cut, , reply] = (await client.listMessages(id)).data as [Message, Message, Message, Message, Message];
    expect(cut).toMatchObject({ status: 'incomplete', stop_reason: 'canceled' });
    expect((await client.getJob(cut.job_id as string)).status).toBe('canceled');
    expect(cut.content).toContain('pieza 3');
    // The two may be cut at different places, because pieces were on their way.
    const shown = textOf(page.messages[1] as UIMessage);
    expect(cut.content.startsWith(shown) || shown.startsWith(cut.content)).toBe(true);
    expect(page.text).toBe(reply.content);
  });

  it('stops a turn that the service has not answered yet', async () => {
    let answer = (): void => undefined;
    let asked = false;
    const held = new Promise<void>((resolve) => (answer = resolve));
    const client = clientOf('gil', {
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (init?.method === 'POST' && (input as string).endsWith('/turns')) {
          asked = true;
          await held;
        }
        return response;
      },
    });
    const { id } = await client.openChat('support');
    await stack.model.script('unanswered', slowPieces(400, 50));
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    const sent = page.sendMessage({ text: 'unanswered' });
    await until(async () => asked, 'the request');
    const stopped = page.stop();
    answer();
    await Promise.all([stopped, sent]);
    expect([page.status, page.error]).toEqual(['ready', undefined]);
    const jobs = 'SELECT status FROM jobs WHERE chat_id = $1';
    const { rows } = await until(async () => {
      const found = await stack.database.query<{ status: string }>(jobs, [id]);
      return found.rows[0]?.status === 'canceled' && found;
    }, 'the cancel');
    expect(rows).toHaveLength(1);
  });

  it('stops without canceling if so configured, and shows the reply when it is resumed', async () => {
    const client = clientOf('ida');
    const { id } = await client.openChat('support');
    await stack.model.script('left', slowPieces(30, 50));
    const page = new Page(new RejoinderChatTransport({ client, cancelOnStop: false }), { id });
    const sent = page.sendMessage({ text: 'left' });
    await page.has('pieza 1');
    await Promise.all([page.stop(), sent]);
    const { unfinished_job_id } = await client.getChat(id);
    expect([page.status, unfinished_job_id]).toEqual(['ready', page.lastMessage?.id]);
    await page.resumeStream();
    expect(page.lastMessage?.metadata?.job_status).toBe('succeeded');
    await showsWhatIsKept(page, 'ida');
  });

  it('cancels: in the end the page shows the stored text', async () => {
    const client = clientOf('jon');
    const { id } = await client.openChat('support');
    await stack.model.script('canceled here', slowPieces(400, 50));
    const transport = new RejoinderChatTransport({ client });
    const page = new Page(transport, { id });
    const sent = page.sendMessage({ text: 'canceled here' });
    await page.has('pieza 3');
    await transport.cancel(id);
    await sent;
    expect([page.status, page.error]).toEqual(['ready', undefined]);
    expect(page.lastMessage?.metadata).toMatchObject({ job_status: 'canceled', status: 'incomplete' });
    await showsWhatIsKept(page, 'jon');
    await transport.cancel(id); // nothing is left to cancel
  });

  it('shows a reply that the model ended early, without an error, and says why it ended', async () => {
    const client = clientOf('fay');
    const { id } = await client.openChat('support');
    const stop_details = { category: 'cyber', explanation: 'This could do harm.' };
    for (const [stop_reason, script, finishReason] of [
      ['max_tokens', { text: 'as far as' }, 'length'],
      ['model_context_window_exceeded', { text: 'as far as' }, 'length'],
      ['refusal', { text: 'I can', stop_details }, 'content-filter'],
      ['refusal', { empty_content: true, stop_details: { category: null, explanation: null } }, 'content-filter'],
    ] as const) {
      await stack.model.script('ended early', { ...script, stop_reason }, 1);
      let finished: unknown;
      const page = new Page(new RejoinderChatTransport({ client }), {
        id,
        onFinish: (end) => void (finished = end.finishReason),
      });
      await page.sendMessage({ text: 'ended early' });
      expect([page.status, page.error, finished]).toEqual(['ready', undefined, finishReason]);
      const message = await kept('fay', id);
      const details = 'stop_details' in script ? script.stop_details : undefined;
      expect(page.lastMessage?.metadata).toMatchObject({
        ...{ job_status: 'succeeded', status: 'incomplete', stop_reason },
        ...(details && { stop_details: details }),
      });
      expect(page.lastMessage).toMatchObject({ ...toUIMessages([message])[0] });
      expect(page.text).toBe('text' in script ? script.text : '');
    }
  });

  it('reports a turn that failed or was refused, with a message to show', async () => {
    const client = clientOf('leo');
    const { id } = await client.openChat('support');
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    await page.sendMessage({ text: 'refused' });
    const job = await client.getJob(page.lastMessage?.id as string);
    expect([page.status, page.error?.message]).toEqual(['error', job.error?.message]);
    expect(page.lastMessage?.metadata).toMatchObject({ job_status: 'failed', error: job.error });

    // A failed reply can be asked for again.
    await page.regenerate();
    expect([page.status, page.error]).toEqual(['ready', undefined]);
    const { data } = await client.listMessages(id);
    expect([page.lastMessage?.id, page.text]).toEqual([data.at(-1)?.job_id, data.at(-1)?.content]);
    expect(data.filter(({ role }) => role === 'user')).toHaveLength(1);

    await stack.model.script('in the way', slowPieces(400, 50), 1);
    const inTheWay = await client.startTurn(id, 'in the way');
    await page.sendMessage({ text: 'a second one' });
    expect(page.error).toBeInstanceOf(ApiError);
    expect(page.error).toMatchObject({ code: 'turn_in_progress', jobId: inTheWay.id });
    await client.cancelJob(inTheWay.id);
    // The page goes on from there.
    await page.sendMessage({ text: 'a third one' });
    expect([page.status, page.error]).toEqual(['ready', undefined]);
  });

  it('refuses what Rejoinder cannot do, before it sends anything', async () => {
    const client = clientOf('max');
    const { id, messages } = await client.openChat('support');
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    await page.sendMessage({ text: 'Hola' });
    const before = (await client.listMessages(id)).data.length;
    expect(before).toBe(messages.length + 2);
    const [asked] = page.messages;
    const file = { type: 'file' as const, mediaType: 'image/png', url: 'data:image/png;base64,' };
    for (const [ask, why] of [
      [() => page.sendMessage({ text: 'look', files: [file] }), /text only.*"file"/],
      [() => page.sendMessage({ text: 'Adiós', messageId: asked?.id }), /cannot be changed/],
      [() => page.regenerate(), /No user message awaits a reply/],
      [() => page.sendMessage({ id: 'x'.repeat(250), role: 'user', parts: [] }), /too long/],
    ] as const) {
      await ask();
      expect([page.status, page.error?.message]).toEqual(['error', expect.stringMatching(why)]);
    }
    expect((await client.listMessages(id)).data).toHaveLength(before);
  });

  it('sends one turn, even if the same message is sent twice', async () => {
    const client = clientOf('ned');
    const { id } = await client.openChat('support');
    await stack.model.script('once', slowPieces(10, 20));
    const pages = [0, 1].map(() => new Page(new RejoinderChatTransport({ client }), { id }));
    const message = { id: 'ñ 😀/?\n1', role: 'user' as const, parts: [{ type: 'text' as const, text: 'once' }] };
    await Promise.all(pages.map((page) => page.sendMessage(message)));
    const late = new Page(new RejoinderChatTransport({ client }), { id });
    await late.sendMessage(message);
    for (const page of [...pages, late]) {
      expect([page.status, page.error]).toEqual(['ready', undefined]);
      await showsWhatIsKept(page, 'ned');
    }
    expect((await client.listMessages(id)).data).toHaveLength(3);
    expect(await stack.model.calls('once')).toHaveLength(1);
  });

  it('shows the reply in flight after a reload, whole and once', async () => {
    const client = clientOf('oda');
    const { id } = await client.openChat('support');
    await stack.model.script('reloaded', slowPieces(40, 50));
    const before = new Page(new RejoinderChatTransport({ client }), { id });
    void before.sendMessage({ text: 'reloaded' });
    await before.has('pieza 5');
    const after = new Page(new RejoinderChatTransport({ client: clientOf('oda') }), {
      id,
      messages: toUIMessages((await client.listMessages(id)).data),
    });
    await after.resumeStream();
    expect(after.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant']);
    expect(after.messages.map(textOf)).toEqual((await client.listMessages(id)).data.map(({ content }) => content));
    await showsWhatIsKept(after, 'oda');
    await before.is('ready');
  });

  it('does nothing when it is resumed and no reply is in flight', async () => {
    const client = clientOf('pia');
    const { id } = await client.openChat('support');
    await client.sendTurn(id, 'Hola');
    const messages = toUIMessages((await client.listMessages(id)).data);
    let finished = 0;
    const page = new Page(new RejoinderChatTransport({ client }), { id, messages, onFinish: () => void finished++ });
    await page.resumeStream();
    expect([page.status, page.error, page.messages, finished]).toEqual(['ready', undefined, messages, 0]);
    const stream = await page.rejoinder.reconnectToStream({ chatId: id });
    expect(stream).toBeNull();
  });

  it('shows a reply that ended between loading the history and resuming, if it was told to expect it', async () => {
    const client = clientOf('quin');
    const { id } = await client.openChat('support');
    await stack.model.script('meanwhile', slowPieces(5, 20));
    const job = await client.startTurn(id, 'meanwhile');
    const opened = { ...(await client.openChat('support')), unfinished_job_id: job.id };
    const messages = toUIMessages(opened.messages.filter(({ role }) => role !== 'assistant'));
    await client.waitForJob(job.id);
    const transport = new RejoinderChatTransport({ client });
    transport.expectReply(opened);
    const page = new Page(transport, { id, messages });
    await page.resumeStream();
    expect(page.messages).toHaveLength(3);
    await showsWhatIsKept(page, 'quin');
    // A reply that was shown is not shown again.
    expect(await transport.reconnectToStream({ chatId: id })).toBeNull();
  });

  it('is not stopped when it is resumed twice at once, as in React’s strict mode', async () => {
    const client = clientOf('rut');
    const { id } = await client.openChat('support');
    await stack.model.script('strictly', slowPieces(30, 50));
    const job = await client.startTurn(id, 'strictly');
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    const first = page.resumeStream();
    await page.has('pieza 1');
    await Promise.all([first, page.resumeStream(), page.resumeStream()]);
    expect((await client.getJob(job.id)).status).toBe('succeeded');
    expect([page.status, page.messages.length]).toEqual(['ready', 1]);
    await showsWhatIsKept(page, 'rut');
    // A real stop still works.
    await stack.model.script('stopped then', slowPieces(400, 50));
    const other = await client.startTurn(id, 'stopped then');
    const resumed = page.resumeStream();
    await until(async () => page.lastMessage?.id === other.id && page.text !== '', 'the other reply');
    await Promise.all([page.stop(), resumed]);
    expect((await client.waitForJob(other.id)).status).toBe('canceled');
  });

  it('loses and doubles nothing when the API is killed in mid-reply and comes back', async () => {
    const client = clientOf('sam');
    const { id } = await client.openChat('support');
    await stack.model.script('through it all', slowPieces(60, 50));
    const page = new Page(new RejoinderChatTransport({ client }), { id });
    const sent = page.sendMessage({ text: 'through it all' });
    await page.has('pieza 3');
    await api.kill();
    api = await stack.again(api);
    await sent;
    expect([page.status, page.error]).toEqual(['ready', undefined]);
    expect((await kept('sam', id)).content).toContain('pieza 59');
    await showsWhatIsKept(page, 'sam');
  });

  it('reports a connection that it gives up, and shows the whole reply when resumed later, even one that has ended', async () => {
    let away = false;
    const token = (): string => {
      // As `fetch` does when the page is offline.
      if (away) throw new TypeError('Failed to fetch');
      return tokenFor('tom');
    };
    const tom = await clientOf('tom').openChat('support');
    const uma = await clientOf('uma').openChat('support');
    await stack.model.script('given up', slowPieces(40, 50));
    const pages = [
      new Page(new RejoinderChatTransport({ client: clientOf('tom', { token, reconnectForMs: 10 }) }), { id: tom.id }),
      new Page(new RejoinderChatTransport({ client: clientOf('uma', { reconnectForMs: 10 }) }), { id: uma.id }),
    ];
    const sent = pages.map((page) => page.sendMessage({ text: 'given up' }));
    await Promise.all(pages.map((page) => page.has('pieza 3')));
    away = true;
    await api.kill();
    await Promise.all(sent);
    for (const page of pages) {
      expect(page.status).toBe('error');
      expect(page.error).toBeInstanceOf(ConnectionError);
      expect(page.text).not.toContain('pieza 39');
    }
    away = false;
    api = await stack.again(api);
    await Promise.all(['tom', 'uma'].map((user, n) => clientOf(user).waitForJob(pages[n]?.lastMessage?.id as string)));
    await Promise.all(pages.map((page) => page.resumeStream()));
    for (const [n, user] of ['tom', 'uma'].entries()) await showsWhatIsKept(pages[n] as Page, user);
  });

  it('takes text back: after a worker was killed in mid-reply, the page shows only the stored message', async () => {
    const client = clientOf('vic');
    const { id } = await client.openChat('support');
    const lost = { pieces: ['first ', 'attempt ', 'and '], piece_delay_ms: 50, stall_after: 3 };
    await stack.model.script('dying', lost, 1);
    await stack.model.script('dying', { text: 'the second attempt, whole' });
    const transport = new RejoinderChatTransport({ client });
    const errors: Error[] = [];
    const page: Page = new Page(transport, {
      id,
      onError: (error) => {
        errors.push(error);
        if (error instanceof RestartError) void page.resumeStream();
      },
    });
    // The other page knows that it gets the whole reply, as the `useChat` of `ai` 7 does.
    const direct = new RejoinderChatTransport({ client });
    const other: Page = new Page(direct, { id, transport: direct, onError: () => void other.resumeStream() });
    void page.sendMessage({ text: 'dying' });
    await page.has('first attempt and ');
    void other.resumeStream();
    await other.has('first attempt and ');
    await worker.kill();
    worker = await stack.startWorker();
    for (const one of [page, other]) {
      await one.has('the second attempt, whole');
      await one.is('ready');
      expect(one.text).toBe('the second attempt, whole');
      await showsWhatIsKept(one, 'vic');
    }
    expect(errors.map(({ name }) => name)).toEqual(['RestartError']);
    expect(page.lastMessage?.metadata).toMatchObject({ job_status: 'succeeded', attempts: 2 });
  });

  it('takes text back: for a turn that was canceled elsewhere the page shows the stored text, although it had shown more', async () => {
    const client = clientOf('wes');
    const { id } = await client.openChat('support');
    await stack.model.script('shortened', slowPieces(400, 30));
    const errors: Error[] = [];
    const page: Page = new Page(new RejoinderChatTransport({ client }), {
      id,
      onError: (error) => {
        errors.push(error);
        if (error instanceof RestartError) void page.resumeStream();
      },
    });
    void page.sendMessage({ text: 'shortened' });
    const jobs = 'SELECT draft FROM jobs WHERE chat_id = $1';
    const draft = await until(async () => {
      const { rows } = await stack.database.query<{ draft: string }>(jobs, [id]);
      return rows[0]?.draft !== '' && rows[0]?.draft;
    }, 'a checkpoint');
    await until(async () => page.text.length > draft.length, 'more than that on the page');
    // The frozen worker cannot answer, so its last saved draft is kept.
    worker.freeze();
    try {
      const canceled = await client.cancelJob(page.lastMessage?.id as string);
      expect(canceled.assistant_message?.content).toBe(draft);
      await until(async () => page.lastMessage?.metadata?.job_status === 'canceled', 'the end');
      await page.is('ready');
    } finally {
      worker.thaw();
    }
    expect(errors.map(({ name }) => name)).toEqual(['RestartError']);
    expect(page.text).toBe(draft);
    await showsWhatIsKept(page, 'wes');
  });
});
