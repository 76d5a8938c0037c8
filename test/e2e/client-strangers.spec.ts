import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ConnectionError, type JobEvent, type Rejoinder, type RejoinderError, TurnError } from '@rejoinder/client';
import { all, answered, call, end, event, job, json, no, portal, stream, within } from '../support/answered-client.js';

/** A page as a server gives it for an unknown address. */
const notFound = (): Response =>
  new Response('<h1>Cannot GET /api/v1/chats</h1>', { status: 404, headers: { 'content-type': 'text/html' } });
const gateway = (): Response =>
  new Response('<h1>Bad Gateway</h1>', { status: 502, headers: { 'content-type': 'text/html' } });
const refused = (): never => {
  throw new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) });
};
const delta = (offset: number, text: string): string => event('delta', `1.${offset + text.length}`, { offset, text });

/** A stream that sends a beat now and then, and never ends. */
function beating(first: string): Response {
  let timer: NodeJS.Timeout;
  const encoder = new TextEncoder();
  return stream(
    new ReadableStream({
      start: (controller) => {
        if (first !== '') controller.enqueue(encoder.encode(first));
        timer = setInterval(() => controller.enqueue(encoder.encode(':\n')), 10_000);
      },
      cancel: () => clearInterval(timer),
    }),
  );
}

describe('a client that gets another server’s answers', () => {
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('fails at once, and says what answered where, if the service has never answered', async () => {
    for (const answer of [notFound, portal]) {
      const calls: ((client: Rejoinder) => Promise<unknown>)[] = [
        (client) => client.streamTurn('c', 'hello').reply(),
        (client) => all(client.exportMe() as unknown as AsyncIterable<JobEvent>),
        (client) => client.listChats(),
      ];
      for (const call of calls) {
        const { client, asked } = answered(answer);
        const failure = await call(client).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(ConnectionError);
        expect((failure as Error).message).toMatch(
          /^Something else than the service answered \d+ \(.*\) at http:\/\/service\.test\. Is baseUrl /,
        );
        expect(asked).toHaveLength(1);
      }
    }
  });

  it('goes on trying once the service has answered, because a proxy’s page may pass', async () => {
    jest.useFakeTimers();
    const nothing = (): Response => new Response(null, { status: 200 });
    for (const answer of [notFound, portal, gateway, nothing]) {
      const { client, asked } = answered((n) => (n === 0 || n === 3 ? json({ data: [] }) : answer()));
      await client.listChats();
      expect(await within(20_000, client.listChats())).toEqual({ data: [] });
      expect(asked).toHaveLength(4);
    }
    // A gateway's error is temporary from the beginning, and a stream is tried again as a request is.
    const { client } = answered((n) => (n < 2 ? gateway() : stream(end)));
    expect(await within(20_000, all(client.streamTurn('c', 'hello')))).toMatchObject([{ type: 'job' }]);
    // An answer of the service that was cut off may be whole the next time.
    for (const isStream of [true, false]) {
      const answer = (): Response => (isStream ? stream(':\n\n') : json(null, { etag: '"0"' }));
      const { client, asked } = answered(answer, { reconnectForMs: 5_000, retryForMs: 5_000 });
      const call: Promise<unknown> = isStream ? client.followJob('j').reply() : client.listChats();
      expect(await within(20_000, call)).toBeInstanceOf(ConnectionError);
      expect(asked.length).toBeGreaterThan(2);
      expect(asked.length).toBeLessThan(15);
    }
  });
});

describe('a client that gets no answer', () => {
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
    delete (globalThis as { location?: unknown }).location;
  });

  it('calls its callback at once while it goes on trying, and ends with the callback’s error', async () => {
    jest.useFakeTimers();
    const reported: [string, number][] = [];
    const onRetry = ({ name, message }: RejoinderError, inMs: number): void =>
      void reported.push([`${name}: ${message}`, inMs]);
    for (const call of ['list', 'follow'] as const) {
      reported.length = 0;
      const { client } = answered((n) => (n < 2 ? refused() : call === 'list' ? json({}) : stream(end)), { onRetry });
      const waited: Promise<unknown> = call === 'list' ? client.listChats() : all(client.followJob('j'));
      expect(await within(100, waited)).toBe('pending');
      expect(reported).toEqual([
        [
          'ConnectionError: The service cannot be reached at http://service.test: nothing listens there.',
          expect.any(Number),
        ],
      ]);
      expect(await within(10_000, waited)).not.toBeInstanceOf(Error);
      expect(reported).toHaveLength(2);
    }
    const enough = new Error('enough');
    const giveUp = answered(refused, {
      onRetry: () => {
        throw enough;
      },
    });
    await expect(giveUp.client.listChats()).rejects.toBe(enough);
    await expect(giveUp.client.followJob('j').reply()).rejects.toBe(enough);
    const busy = answered((n) => (n === 0 ? no(503, 'unavailable') : json({})), { onRetry });
    reported.length = 0;
    await within(10_000, busy.client.listChats());
    expect(reported).toEqual([['ApiError: no', expect.any(Number)]]);
  });

  it('warns once without a callback, and not at all once the service has answered', async () => {
    jest.useFakeTimers();
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const fresh = answered(refused, { retryForMs: 3_000, onRetry: undefined });
    expect(await within(20_000, fresh.client.listChats())).toBeInstanceOf(ConnectionError);
    expect(await within(20_000, fresh.client.listChats())).toBeInstanceOf(ConnectionError);
    expect(warn.mock.calls).toEqual([
      ['Rejoinder: The service cannot be reached at http://service.test: nothing listens there. Trying again.'],
    ]);
    const met = answered((n) => (n === 0 ? json({}) : refused()), {
      retryForMs: 3_000,
      onRetry: undefined,
    });
    await met.client.listChats();
    expect(await within(20_000, met.client.listChats())).toMatchObject({ message: 'The service cannot be reached.' });
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('names a page’s possible faults, which the browser does not tell', async () => {
    const saysFrom = async (origin: string, baseUrl: string): Promise<string> => {
      Object.assign(globalThis, { location: { origin } });
      const failed = (): never => {
        throw new TypeError('Failed to fetch');
      };
      const failure = answered(failed, { baseUrl, retryForMs: 0 }).client.listChats();
      return ((await failure.catch((error: unknown) => error)) as Error).message;
    };
    const api = 'https://api.example.com';
    expect(await saysFrom('https://app.example.com', api)).toBe(
      `The service cannot be reached at ${api}: nothing answers there, or its CORS_ORIGINS does not name https://app.example.com, this page’s origin.`,
    );
    expect(await saysFrom('https://app.example.com', 'http://api.example.com')).toContain(
      'may not ask an address with http',
    );
    expect(await saysFrom(api, api)).toBe('The service cannot be reached.');
  });
});

describe('a stream that breaks the contract', () => {
  afterEach(() => void jest.useRealTimers());

  it('ends with a ConnectionError, whatever field an event lacks', async () => {
    const events = [
      event('delta', '1.2', { offset: 0 }),
      event('delta', '1.2', { text: 'hi' }),
      event('delta', '1.2', { offset: -1, text: 'hi' }),
      event('delta', '1.2', { offset: 0, text: null }),
      event('delta', 'x', { offset: 0, text: 'hi' }),
      event('job', '1.0', {}),
      event('job', '1.0', { id: 1, status: 'running' }),
      event('reset', '2.0', { attempt: 'two', offset: 0 }),
      event('reset', '2.0', { attempt: 2, offset: 'x' }),
      event('job', '1.0', { ...job('requires_action'), required_action: {} }),
      event('job', '1.0', { ...job('requires_action'), required_action: { tool_calls: [{ id: 'c' }] } }),
      event('tool_call', '1.0', { ...call('running'), input: null }),
      event('tool_call', '1.0', { ...call('succeeded'), result: {} }),
      event('tool_call', '1.0', { ...call('running'), name: 7 }),
      event('message', '1.2', { content: ['m'] }),
      event('failure', '1.2', { message: 'no' }),
      event('failure', '1.2', []),
      'event: job\nid: 1.0\ndata: null\n\n',
      'event: job\nid: 1.0\ndata: {"id"\n\n',
    ];
    for (const one of events) {
      const { client } = answered(() => stream(event('job', '1.0', job('running')) + one + end), { reconnectForMs: 0 });
      const failure = await client
        .followJob('j')
        .reply()
        .catch((error: unknown) => error);
      expect([one, (failure as Error).name]).toEqual([one, 'ConnectionError']);
    }
  });

  it('ends with one for an event or an export’s line without an end', async () => {
    const piece = new TextEncoder().encode('x'.repeat(1024 * 1024));
    const endless = (first: string): ReadableStream => {
      let sent = 0;
      return new ReadableStream({
        pull: (controller) => {
          controller.enqueue(sent === 0 ? new TextEncoder().encode(first) : piece);
          if (++sent > 200) controller.error(new Error('It was read without bound.'));
        },
      });
    };
    const followed = answered(() => stream(endless('event: delta\nid: 1.1\ndata: {"offset":0,"text":"')), {
      reconnectForMs: 0,
    });
    await expect(followed.client.followJob('j').reply()).rejects.toThrow('An event came that has no end.');
    const headers = { 'content-type': 'application/jsonl' };
    const exported = answered(() => new Response(endless('{"type":"export","user":"'), { headers }));
    const lines = exported.client.exportMe() as unknown as AsyncIterable<JobEvent>;
    await expect(all(lines)).rejects.toThrow('A line of the export has no end.');
    for (const line of ['null\n', '[]\n', '7\n', '\n']) {
      const { client } = answered(() => new Response(line, { headers }));
      await expect(all(client.exportMe() as unknown as AsyncIterable<JobEvent>)).rejects.toThrow(ConnectionError);
    }
  });

  it('is not followed for ever if the same piece is missing each time', async () => {
    jest.useFakeTimers();
    const gap = event('job', '1.0', job('running')) + delta(5, 'lost');
    const { client, asked } = answered(() => stream(gap), { reconnectForMs: 20_000 });
    expect(await within(60_000, client.followJob('j').reply())).toMatchObject({
      name: 'ConnectionError',
      message: 'A piece of the text is missing.',
    });
    expect(asked.length).toBeLessThan(15);
    // A stream that makes progress is followed for as long as it takes.
    let at = 0;
    const slow = answered(
      () => {
        const offset = at++;
        return stream(
          event('job', `1.${offset}`, job('running')) + delta(offset, 'x') + (at > 100 ? end : delta(offset + 9, '?')),
        );
      },
      { reconnectForMs: 3_000 },
    );
    const followed = slow.client.followJob('j');
    expect(await within(600_000, all(followed))).toHaveLength(203);
    expect(followed.text).toBe('x'.repeat(101));
  });

  it('is not followed for ever if it only beats, from the beginning or after its last possible event', async () => {
    jest.useFakeTimers();
    const { client, asked } = answered(() => beating(''), { reconnectForMs: 90_000 });
    expect(await within(300_000, client.followJob('j').reply())).toMatchObject({
      name: 'ConnectionError',
      message: 'The stream has fallen silent.',
    });
    expect(asked.length).toBeLessThan(6);
    const later = answered(() => beating(event('job', '1.0', job('running'))));
    const followed = all(later.client.followJob('j'));
    expect(await within(100 * 60_000, followed)).toBe('pending');
    expect(await within(40 * 60_000, followed)).toMatchObject({ message: 'Nothing new has come for two hours.' });
  });

  it('is followed for as long as the job waits for a person', async () => {
    jest.useFakeTimers();
    const leave = new AbortController();
    const { client } = answered(() => beating(event('job', '1.0', job('requires_action'))));
    const followed = all(client.followJob('j', { signal: leave.signal }));
    expect(await within(5 * 60 * 60_000, followed)).toBe('pending');
    leave.abort(new Error('enough'));
    await expect(followed).rejects.toThrow('enough');
  });

  it('throws at its end when the turn failed, after all events; a canceled turn ends without an error', async () => {
    const failure = event('failure', '1.0', { code: 'assistant_failed', message: 'no', request_id: 'r' });
    const failed = { ...job('failed'), error: { code: 'model_rejected', message: 'The model says no.' } };
    const { client } = answered(() =>
      stream(event('job', '1.0', job('running')) + failure + event('job', 'end', failed)),
    );
    for (const follow of [() => client.streamTurn('c', 'x'), () => client.followJob('j')]) {
      const types: string[] = [];
      const reading = (async () => {
        for await (const { type } of follow()) types.push(type);
      })();
      await expect(reading).rejects.toThrow(new TurnError(failed as never));
      expect(types).toEqual(['job', 'failure', 'job']);
    }
    const canceled = answered(() => stream(event('job', 'end', job('canceled'))));
    expect(await all(canceled.client.followJob('j'))).toHaveLength(1);
  });
});
