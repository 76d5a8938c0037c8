import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rejoinder } from '@rejoinder/client';
import { RejoinderChatTransport } from '@rejoinder/client/ai-sdk';
import type { UIMessageChunk } from 'ai';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { ledgerOf } from '../support/ledger.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { saidIn } from '../support/said.js';

/** Text that a store, a protocol or a reader might take for something else. */
const HOSTILE = [
  'data: {"offset":0,"text":"another’s"}\n\nevent: done\ndata: {}\n\nid: 9.999\nretry: 1\n: a comment\n\n',
  'a\r\nb\rc\u0085d\u2028e\u2029f\vg\fh\u001ci\u001dj\u001ek\u007f',
  '\ufeff\u202e\u200b\u00ad', // BOM, and other invisible characters
  '"\\u0041\\ud83d\\"\b{"__proto__":{"a":1},"constructor":null}',
  '\u001b[2J\u001b]0;title\u0007\u009b1m',
  '</script><img src=x onerror="alert(1)">[a](javascript:alert(1))',
  "'; DROP TABLE messages; -- $1 %s ${x} \\x00 \\0",
  'e\u0301 é 👩‍👩‍👧‍👦 🏳️‍🌈 \u{10ffff}\uffff',
].join('');

/** Each code unit by itself, so that pairs are split, with NULs, half pairs and empty pieces in between. */
const IN_UNITS = ['\0', ...HOSTILE.split('').flatMap((unit) => [unit, '', '\0']), '\ud83d', 'x', '\udc00', '\ud83d'];
const AS_KEPT = `${HOSTILE}\ufffdx\ufffd\ufffd`;

type Event = [event: string, data: object | null];

const textDelta = (text: unknown, index = 0): Event => [
  'content_block_delta',
  { index, delta: { type: 'text_delta', text } },
];
const START: Event = ['message_start', { message: { id: 'msg_1', model: 'm', usage: { input_tokens: 3 } } }];
const STOP: Event[] = [
  ['message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } }],
  ['message_stop', {}],
];

/** A stream of the Messages API, as a script. */
const stream = (...events: Event[]): object => ({
  content_type: 'text/event-stream',
  body: events
    .map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data && { type: event, ...data })}\n\n`)
    .join(''),
});

describe('the model’s output', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const follow = async (user: string, jobId: string, lastEventId = ''): Promise<StreamEvent[]> =>
    collect(
      await openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`, {
        headers: { 'last-event-id': lastEventId },
      }),
    );

  it('is the same text, code unit for code unit, however it is read, and in the next call', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('hostile', { pieces: IN_UNITS });
    const job = await ana.turnAsync(chat.id, 'hostile');
    const live = await follow('ana', job.id);
    const clientOf = (user: string): Rejoinder => new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user) });
    const events = clientOf('ana').followJob(job.id);
    let pieced = '';
    for await (const event of events) if (event.type === 'delta') pieced += event.text;
    const page = await new RejoinderChatTransport({ client: clientOf('aby') }).sendMessages({
      trigger: 'submit-message',
      chatId: (await stack.as('aby').chat()).id,
      messageId: undefined,
      messages: [{ id: 'one', role: 'user', parts: [{ type: 'text', text: 'hostile' }] }],
      abortSignal: undefined,
    });
    let shown = '';
    for await (const chunk of page as AsyncIterable<UIMessageChunk>) {
      if (chunk.type === 'text-delta') shown += chunk.delta;
    }
    const exported = String((await ana.get('/api/v1/me/export')).body);
    const texts = {
      deltas: textOf(live),
      message: live.find(({ event }) => event === 'message')?.data.content,
      end: live.at(-1)?.data.assistant_message.content,
      job: (await ana.finalJob(job.id)).assistant_message?.content,
      page: (await ana.get(`/api/v1/chats/${chat.id}/messages`)).body.data.at(-1).content,
      opened: (await ana.chat()).messages.at(-1)?.content,
      client: pieced,
      clientsMessage: events.message?.content,
      useChat: shown,
      exported: exported
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
        .find(({ message }) => message?.role === 'assistant').message.content,
      waited: (await stack.as('abe').turn((await stack.as('abe').chat()).id, 'hostile')).body.assistant_message.content,
    };
    expect(texts).toEqual(Object.fromEntries(Object.keys(texts).map((way) => [way, AS_KEPT])));
    // A reader who resumes from any announced position gets exactly the rest.
    const positions = live.filter(({ event }) => event === 'delta').map(({ id }) => id);
    for (const id of ['1.0', '1.1', ...positions]) {
      expect(textOf(await follow('ana', job.id, id), AS_KEPT.slice(0, Number(id.split('.')[1])))).toBe(AS_KEPT);
    }
    await ana.turn(chat.id, 'and then?');
    const [call] = await stack.model.calls('and then?');
    expect(saidIn(call).map(({ content }) => content)).toEqual(['hostile', AS_KEPT, 'and then?']);
  });

  it('breaks no line-based format, for readers in any language', async () => {
    const bea = stack.as('bea');
    const chat = await bea.chat();
    await stack.model.script('lines', { pieces: [HOSTILE] });
    const { body } = await bea.turn(chat.id, 'lines');
    for (const path of [`/api/v1/jobs/${body.job_id}/events`, '/api/v1/me/export']) {
      const raw = await fetch(new URL(path, stack.api.url), {
        headers: { authorization: `Bearer ${tokenFor('bea')}`, accept: 'text/event-stream, application/jsonl' },
      });
      const text = await raw.text();
      expect(text).toContain('another’s');
      // The line ends of Python's splitlines(), except control characters, which the text does not contain.
      expect(text.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)).toEqual(text.split('\n'));
    }
  });

  it('may be five megabytes, half in one piece and half in ten thousand, left in the middle and resumed', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    const line = 'data: fünf 😀 \u2028 <b>\n\n';
    const pieces = [line.repeat(120_000), ...Array<string>(10_000).fill(line.repeat(12))];
    const whole = pieces.join('');
    expect(whole.length).toBeGreaterThan(5_000_000);
    await stack.model.script('a book', { pieces, delay_ms: 100 });
    const path = `/api/v1/chats/${chat.id}/turns`;
    const first = await openStream(stack.api.url, tokenFor('eva'), path, { body: { user_message: 'a book' } });
    const begun: StreamEvent[] = [];
    for await (const event of first.events) {
      begun.push(event);
      if (event.event === 'delta' && event.data.offset > whole.length / 3) break;
    }
    first.close();
    const rest = await follow('eva', begun[0]?.data.id as string, begun.at(-1)?.id);
    expect(textOf(rest, textOf(begun)) === whole).toBe(true);
    expect(rest.at(-1)?.data.assistant_message.content === whole).toBe(true);
    // The next call has no room for it, so it leaves out this reply and all before it.
    await eva.turn(chat.id, 'in short, please');
    const [call] = await stack.model.calls('in short, please');
    expect(saidIn(call)).toEqual([{ role: 'user', content: 'in short, please' }]);
  });

  const wrong = { input_tokens: -3, cache_read_input_tokens: 1e300, output_tokens: '7' };
  const ODD: [what: string, reply: object, expected: object][] = [
    [
      'blocks that nobody asked for',
      stream(
        START,
        ['content_block_start', { index: 0, content_block: { type: 'thinking', thinking: 'secret' } }],
        ['content_block_delta', { index: 0, delta: { type: 'thinking_delta', thinking: 'secret' } }],
        ['content_block_start', { index: 1, content_block: { type: 'tool_use', name: 'rm', input: {} } }],
        ['content_block_delta', { index: 1, delta: { type: 'input_json_delta', partial_json: '{"secret":' } }],
        ['content_block_delta', { index: 2, delta: { type: 'hologram_delta', text: 'secret' } }],
        ['quite_another_event', { text: 'secret' }],
        textDelta('said', 7),
        textDelta(' aloud', 3),
        ...STOP,
      ),
      { content: 'said aloud', stop_reason: 'end_turn' },
    ],
    [
      'an unknown stop reason, and more after it',
      stream(
        START,
        textDelta('all of it'),
        ['message_delta', { delta: { stop_reason: `bored\0\n${'x'.repeat(10_000)}` } }],
        ['message_stop', {}],
        textDelta(' and more'),
        START,
        textDelta('another'),
        ...STOP,
      ),
      {
        content: 'all of it',
        stop_reason: `bored\n${'x'.repeat(194)}`,
        usage: { input_tokens: 3, output_tokens: 4, estimated: true },
      },
    ],
    [
      'an impossible model and figures',
      stream(
        ['message_start', { message: { id: { a: 1 }, model: ['\0\ud800'], usage: wrong } }],
        textDelta('fine'),
        ['message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 900_000_000 } }],
        ['message_stop', {}],
      ),
      // The input is estimated by the bytes of prompt and question.
      { content: 'fine', model: expect.any(String), usage: { input_tokens: 83, output_tokens: 2, estimated: true } },
    ],
    [
      'figures at the beginning only',
      stream(
        ['message_start', { message: { id: 'i', model: 'm', usage: { input_tokens: 3, output_tokens: 5 } } }],
        textDelta('fine'),
        ['message_delta', { delta: { stop_reason: 'end_turn' } }],
        ['message_stop', {}],
      ),
      { usage: { input_tokens: 3, output_tokens: 5, estimated: true } },
    ],
    [
      'names of prototypes',
      {
        content_type: 'text/event-stream',
        body:
          'event: message_start\ndata: {"type":"message_start","__proto__":{"x":1},"message":{"constructor":1,"usage":{}}}\n\n' +
          'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"__proto__":{"text":"no"},"type":"text_delta","text":"yes"}}\n\n' +
          'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"__proto__"}}\n\n' +
          'event: message_stop\ndata: {"type":"message_stop"}\n\n',
      },
      { content: 'yes', stop_reason: '__proto__' },
    ],
  ];

  it.each(ODD)('with %s, is only its text', async (what, reply, expected) => {
    const user = stack.as(`odd ${what}`);
    const chat = await user.chat();
    await stack.model.script(what, reply);
    const { body } = await user.turn(chat.id, what);
    expect(body.assistant_message).toMatchObject(expected);
    expect(JSON.stringify(body)).not.toContain('secret');
    expect(await ledgerOf(stack, body.job_id as string)).toMatchObject([{ outcome: 'completed' }]);
  });

  const BROKEN: [what: string, reply: object, code?: string][] = [
    ['a message that begins twice', stream(START, textDelta('half a'), START, textDelta('whole'), ...STOP)],
    ['text that is no string', stream(START, textDelta({ toString: 1 }), ...STOP)],
    ['nothing where an object belongs', stream(START, ['content_block_delta', null], textDelta('x'), ...STOP)],
    ['nothing but white space and NUL', stream(START, textDelta(' \n\u2028\ufeff\0'), ...STOP), 'answer_empty'],
  ];

  it('is no reply if its stream is broken: the turn is tried again, and has the text of one attempt', async () => {
    const tryAgain = async ([what, reply, code = 'answer_broken']: (typeof BROKEN)[number]): Promise<void> => {
      const user = stack.as(`broken ${what}`);
      const chat = await user.chat();
      await stack.model.script(what, reply, 1);
      await stack.model.script(what, { text: 'the second reply' });
      const { body } = await user.turn(chat.id, what);
      expect([what, body.assistant_message.content]).toEqual([what, 'the second reply']);
      expect(await ledgerOf(stack, body.job_id as string)).toMatchObject([
        { outcome: 'failed', error_code: code },
        { outcome: 'completed' },
      ]);
    };
    await Promise.all(BROKEN.map(tryAgain));
  });

  it('fails its turn if it has no end, and its text is in no error and no log', async () => {
    const max = stack.as('max');
    const chat = await max.chat();
    const words = 'sk-secret-of-the-model '.repeat(3_000);
    await stack.model.script('without end', { pieces: [words], repeat: 130 }, 1);
    const job = await max.finalJob((await max.turnAsync(chat.id, 'without end')).id);
    expect(job).toMatchObject({
      status: 'failed',
      attempts: 1,
      assistant_message: null,
      error: { code: 'model_rejected', message: 'The model’s answer is too long.' },
    });
    await stack.model.script('an error', { status: 400, error_type: words.slice(0, 9_000), message: words }, 1);
    const refused = await max.turn(chat.id, 'an error');
    const { rows } = await stack.database.query('SELECT * FROM jobs WHERE chat_id = $1', [chat.id]);
    const everywhere = JSON.stringify([job, refused.body, rows]) + stack.workers[0]?.output();
    expect(everywhere).not.toContain('sk-secret');
    // The chat goes on.
    expect((await max.turn(chat.id, 'and now?')).status).toBe(200);
  });
});
