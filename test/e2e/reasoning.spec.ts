import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collect, openStream, reasoningOf, sourcesOf, type StreamEvent, textOf } from '../support/events.js';
import type { App } from '../support/processes.js';
import { said, showReasoning, thoughts, words } from '../support/reasoning.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { giveTools, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

const names = (events: readonly StreamEvent[]): string[] =>
  events.map(({ event, data }) => (event === 'job' ? `job ${data.status}` : event));

/** The names of the events, each only once in a row. */
const inOrder = (events: readonly StreamEvent[]): string[] =>
  names(events).filter((name, n, all) => name !== all[n - 1]);

const CITED = { type: 'web_search_result_location', url: 'https://a.test/one', title: 'One', cited_text: 'so it is' };

describe('the reasoning of an assistant that shows it', () => {
  let stack: Stack;
  let tools: Tools;
  let other: App;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    other = await stack.startApi();
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
    ]);
    await showReasoning(stack, 'support');
    await showReasoning(stack, 'billing');
    await giveTools(stack, 'general', [{ run: 'provider', type: 'web_search_20250305', name: 'web_search' }]);
  });
  afterAll(async () => {
    await tools.stop();
    await stack.stop();
  });

  const follow = async (user: string, jobId: string, from?: string, app = stack.api): Promise<StreamEvent[]> =>
    collect(
      await openStream(app.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`, {
        headers: from === undefined ? {} : { 'last-event-id': from },
      }),
    );
  /** Sends a turn to an assistant with this script, and reads its stream to the end. */
  const streamed = async (user: string, text: string, script: object, slug = 'billing'): Promise<StreamEvent[]> => {
    await stack.model.script(text, script);
    const { id } = await stack.as(user).chat(slug);
    const path = `/api/v1/chats/${id}/turns`;
    return collect(await openStream(stack.api.url, tokenFor(user), path, { body: { user_message: text } }));
  };
  const messageOf = (events: readonly StreamEvent[]): any => events.find(({ event }) => event === 'message')?.data;
  const left = async (jobId: string): Promise<number> =>
    (await stack.database.query('SELECT FROM draft_parts WHERE job_id = $1', [jobId])).rows.length;

  it('comes as the model thinks, before the text, and is kept as a part of the reply', async () => {
    const thought = words(12);
    const events = await streamed('ana', 'a riddle', { blocks: [thoughts(thought, 40), said('It is 42.')] });
    expect(events.filter(({ event }) => event === 'reasoning').length).toBeGreaterThan(3);
    const first = events.findIndex(({ event }) => event === 'delta');
    expect(events.slice(first).filter(({ event }) => event === 'reasoning')).toEqual([]);
    expect([reasoningOf(events), textOf(events)]).toEqual([thought, 'It is 42.']);
    expect(messageOf(events)).toMatchObject({
      content: 'It is 42.',
      parts: [
        { type: 'reasoning', text: thought },
        { type: 'text', text: 'It is 42.' },
      ],
      status: 'complete',
    });
    const [call] = await stack.model.calls('a riddle');
    expect(call?.thinking).toEqual({ type: 'adaptive', display: 'summarized' });
    expect(await left(events[0]?.data.id)).toBe(0);
  });

  it('is not shown by a poll before the end, like the text', async () => {
    const ben = stack.as('ben');
    await stack.model.script('polled', { blocks: [thoughts(words(40), 50), said('done')] });
    const job = await ben.turnAsync((await ben.chat('billing')).id, 'polled');
    await until(async () => (await left(job.id)) > 0, 'saved reasoning');
    const { body } = await ben.get(`/api/v1/jobs/${job.id}`);
    expect([body.status, JSON.stringify(body).includes('thought')]).toEqual(['running', false]);
    expect((await ben.finalJob(job.id)).assistant_message?.parts?.[0]).toMatchObject({ type: 'reasoning' });
  });

  it('is whole for a client that resumes at every piece, on alternating APIs', async () => {
    const cyd = stack.as('cyd');
    const thought = words(40);
    await stack.model.script('hunted', { blocks: [thoughts(thought, 60), said('found at last')], piece_delay_ms: 60 });
    const job = await cyd.turnAsync((await cyd.chat('billing')).id, 'hunted');
    let [text, reasoning, streams, asked] = ['', '', 0, 0];
    let last: string | undefined;
    while (last !== 'end') {
      const stream = await openStream(
        (streams++ % 2 ? other : stack.api).url,
        tokenFor('cyd'),
        `/api/v1/jobs/${job.id}/events`,
        {
          headers: last === undefined ? {} : { 'last-event-id': last },
        },
      );
      for await (const event of stream.events) {
        const had = reasoning.length;
        [text, reasoning, last] = [textOf([event], text), reasoningOf([event], reasoning), event.id];
        if (reasoning.length > had) asked += 1;
        if (reasoning.length > had || event.event === 'delta') break;
      }
      stream.close();
    }
    expect(asked).toBeGreaterThan(3);
    expect([text, reasoning]).toEqual(['found at last', thought]);
  });

  it('comes again from its beginning after each event of a turn with tools, in the order of the steps', async () => {
    const dan = stack.as('dan');
    const job = await dan.turnAsync((await dan.chat()).id, 'think about it: use find_order then use refund_order');
    const live = follow('dan', job.id);
    await until(
      async () => (await dan.get(`/api/v1/jobs/${job.id}`)).body.status === 'requires_action',
      'the question',
    );
    const waiting = await openStream(other.url, tokenFor('dan'), `/api/v1/jobs/${job.id}/events`);
    const early: StreamEvent[] = [];
    for await (const event of waiting.events) {
      early.push(event);
      if (event.event === 'job') break;
    }
    waiting.close();
    // Each step before its calls, and all of it before the state that waits.
    expect(names(early)).toEqual(['reasoning', 'delta', 'tool_call', 'reasoning', 'tool_call', 'job requires_action']);
    const { body } = await dan.get(`/api/v1/jobs/${job.id}`);
    await dan.patch(`/api/v1/jobs/${job.id}/tool-calls/${body.required_action.tool_calls[0].id}`, {
      decision: 'approve',
    });
    const events = await live;
    const whole = reasoningOf(events);
    const message = messageOf(events);
    const parts = message.parts as { type: string; text: string }[];
    expect(parts.map(({ type }) => type)).toEqual([
      'reasoning',
      'text',
      'tool_call',
      'reasoning',
      'tool_call',
      'reasoning',
      'text',
    ]);
    expect(parts.flatMap(({ type, text }) => (type === 'reasoning' ? [text] : [])).join('')).toBe(whole);
    expect(whole).toContain('I take my time');
    expect(inOrder(await follow('dan', job.id))).toEqual([
      ...parts.map(({ type }) => (type === 'text' ? 'delta' : type)),
      'message',
      'job succeeded',
    ]);
    for (const [n, { id }] of events.entries()) {
      if (id === 'end') continue;
      const had = events.slice(0, n + 1);
      const rest = await follow('dan', job.id, id, n % 2 ? other : stack.api);
      expect([id, textOf(rest, textOf(had)), reasoningOf(rest, reasoningOf(had))]).toEqual([
        id,
        message.content,
        whole,
      ]);
      // Also for a client that has kept nothing but the id.
      expect(reasoningOf(rest)).toBe(whole);
    }
  });

  it('has no place in later prompts, neither its words nor their room', async () => {
    const eve = stack.as('eve');
    const { id } = await eve.chat('billing');
    await eve.turn(id, 'remember the number 7');
    for (const n of [1, 2, 3]) {
      await stack.model.script(`long thoughts ${n}`, {
        blocks: [thoughts(`secret ${'x'.repeat(200_000)}`), said('so')],
      });
      expect((await eve.turn(id, `long thoughts ${n}`)).status).toBe(200);
    }
    await eve.turn(id, 'and the number?');
    const [call] = await stack.model.calls('and the number?');
    const sent = JSON.stringify(call?.messages);
    expect(sent).toContain('remember the number 7');
    expect(sent).not.toContain('secret');
  });

  it('is cut where it is too long, and says so, live and stored', async () => {
    const events = await streamed('fay', 'endless', {
      blocks: [thoughts(`${'x'.repeat(200_000)} 😀`), thoughts('y'.repeat(100_000)), thoughts('z'), said('Enough.')],
    });
    const whole = reasoningOf(events);
    expect(whole.length).toBeLessThan(262_144 + 100);
    expect(whole).toMatch(/^x+ 😀\n\ny+\n\n\[The rest of the reasoning is left out\.\]$/);
    expect(messageOf(events).parts[0].text).toBe(whole);
  });

  it('is data, whatever is in it: what streams show is what is stored', async () => {
    const hostile = 'a\0b\n\ndata: x\nid: end\n\n<script>alert(1)</script> \ud83d \u202e 😀 \r\n';
    const events = await streamed('gus', 'hostile', {
      blocks: [thoughts(hostile), { type: 'redacted_thinking' }, thoughts('after it'), said('fine')],
    });
    const stored = messageOf(events).parts[0].text;
    expect(stored).toBe(`${hostile.replace('\0', '').toWellFormed()}after it`);
    expect(reasoningOf(events)).toBe(stored);
  });

  it('alone is no reply: a turn that was all thoughts keeps none of them', async () => {
    const events = await streamed('hal', 'all thoughts', {
      blocks: [thoughts('hm hm', 300)],
      stop_reason: 'max_tokens',
    });
    expect(reasoningOf(events)).toMatch(/^hm/);
    expect(messageOf(events)).toMatchObject({ content: '', status: 'incomplete', stop_reason: 'max_tokens' });
    expect(messageOf(events)).not.toHaveProperty('parts');
    expect((await stack.as('hal').turn(messageOf(events).chat_id, 'go on')).status).toBe(200);
  });

  it.each([
    ['refused', { stop_reason: 'refusal', blocks: [thoughts('Should I?'), said('I')] }],
    ['cut off', { stop_reason: 'max_tokens', blocks: [thoughts('Should I?'), said('I')] }],
  ])('stays with a reply that was %s after some text', async (what, script) => {
    const events = await streamed(what, `to be ${what}`, script);
    expect(messageOf(events)).toMatchObject({
      status: 'incomplete',
      parts: [
        { type: 'reasoning', text: 'Should I?' },
        { type: 'text', text: 'I' },
      ],
    });
  });

  it('stays with a canceled reply that has text, as it was shown, and goes with one that has none', async () => {
    const ina = stack.as('ina');
    const { id } = await ina.chat('billing');
    const canceled = async (text: string, script: object, when: string): Promise<StreamEvent[]> => {
      await stack.model.script(text, script);
      const path = `/api/v1/chats/${id}/turns`;
      const stream = await openStream(stack.api.url, tokenFor('ina'), path, { body: { user_message: text } });
      const events: StreamEvent[] = [];
      for await (const event of stream.events) {
        events.push(event);
        if (events.filter((one) => one.event === when).length === 3 && event.event === when) {
          await ina.patch(`/api/v1/jobs/${events[0]?.data.id}`, { status: 'canceled' });
        }
      }
      return events;
    };
    const slow = { type: 'text', pieces: Array(400).fill('on and ') };
    const kept = await canceled('stop me', { blocks: [thoughts('first I think'), slow], piece_delay_ms: 50 }, 'delta');
    const { content, parts, stop_reason } = messageOf(kept);
    expect([stop_reason, parts]).toEqual([
      'canceled',
      [
        { type: 'reasoning', text: 'first I think' },
        { type: 'text', text: content },
      ],
    ]);
    expect(content.startsWith('on and on and')).toBe(true);
    const gone = await canceled('stop my thoughts', { blocks: [thoughts(words(400), 50), said('x')] }, 'reasoning');
    expect(inOrder(gone).slice(-2)).toEqual(['reasoning', 'job canceled']);
    expect(gone.at(-1)?.data.assistant_message).toBeNull();
  });

  it('of finished steps stays with a turn that fails later', async () => {
    const text = 'fails later: use find_order';
    tools.answer('find_order', async () => {
      await stack.model.script(text, { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
      return 'find_order done';
    });
    const jon = stack.as('jon');
    const failed = await jon.turn((await jon.chat()).id, text);
    tools.answer('find_order', () => 'find_order done');
    const { assistant_message } = (await jon.get(`/api/v1/jobs/${failed.body.job_id}`)).body;
    expect(assistant_message).toMatchObject({
      stop_reason: 'failed',
      parts: [{ type: 'reasoning' }, { type: 'text' }, { type: 'tool_call' }],
    });
  });

  it('is in an export, and leaves nothing behind when the chat is deleted', async () => {
    const kim = stack.as('kim');
    const { id } = await kim.chat('billing');
    await stack.model.script('exported', { blocks: [thoughts('unmistakable'), said('yes')] });
    await kim.turn(id, 'exported');
    expect(String((await kim.get('/api/v1/me/export')).body)).toContain('{"text":"unmistakable","type":"reasoning"}');
    await stack.model.script('deleted', { blocks: [thoughts(words(400), 50), said('x')] });
    const job = await kim.turnAsync(id, 'deleted');
    await until(async () => (await left(job.id)) > 0, 'saved reasoning');
    expect((await kim.request('DELETE', `/api/v1/chats/${id}`)).status).toBe(204);
    await until(async () => (await left(job.id)) === 0, 'the end of its rows');
    // Its worker notices the end before another heartbeat.
    expect(
      (await stack.database.query('SELECT FROM draft_parts d LEFT JOIN jobs j ON j.id = d.job_id WHERE j.id IS NULL'))
        .rows,
    ).toEqual([]);
  });

  it('leaves no trace where the assistant does not show it, even if the model sends it', async () => {
    const events = await streamed(
      'lea',
      'silent thoughts',
      { blocks: [thoughts('unmistakable-thought'), said('It is 42.')], piece_delay_ms: 10 },
      'general',
    );
    expect(inOrder(events).filter((name) => !name.startsWith('job'))).toEqual(['delta', 'message']);
    expect(messageOf(events)).not.toHaveProperty('parts');
    const [call] = await stack.model.calls('silent thoughts');
    expect(call?.thinking).toBeUndefined();
    const logs = [stack.api, ...stack.workers].map((app) => app.output()).join('\n');
    expect(logs).not.toContain('unmistakable');
    for (const table of ['messages', 'jobs', 'steps', 'draft_parts', 'tool_calls', 'model_calls']) {
      const { rows } = await stack.database.query(`SELECT FROM ${table} t WHERE t::text LIKE '%unmistakable-thought%'`);
      expect([table, rows]).toEqual([table, []]);
    }
  });

  it('of no assistant is ever logged', () => {
    const logs = [stack.api, other, ...stack.workers].map((app) => app.output()).join('\n');
    expect(logs).toContain('attempt begins');
    expect(logs).not.toMatch(/thought \d|unmistakable|Should I/);
  });

  describe('and its sources', () => {
    it('come as they are cited, again after each event, and are parts of the reply behind their text', async () => {
      const cited = (url: string): object => ({ ...said(`see ${url} `), citations: [{ ...CITED, url }, CITED] });
      const bad = {
        ...said('. '),
        citations: [
          { ...CITED, url: 'javascript:alert(1)' },
          { ...CITED, url: 'https://a.test/\nx' },
        ],
      };
      const events = await streamed('mia', 'with sources', {
        blocks: [
          thoughts('I look.'),
          cited('https://a.test/two'),
          cited('https://a.test/three'),
          bad,
          said('That is all.'),
        ],
        piece_delay_ms: 100,
      });
      const urls = ['https://a.test/two', 'https://a.test/one', 'https://a.test/three'];
      expect(sourcesOf(events)).toEqual(urls);
      const seen = events.flatMap(({ event, id, data }) => (event === 'source' ? [[data.url, id]] : []));
      // Its id says how much text stands before it.
      expect(seen[0]).toEqual([urls[0], `1.${'see https://a.test/two '.length}`]);
      expect(messageOf(events).parts.map(({ type, url }: any) => url ?? type)).toEqual(['reasoning', 'text', ...urls]);
      const jobId = events[0]?.data.id;
      for (const [n, { id }] of events.entries()) {
        if (id === 'end') continue;
        const rest = await follow('mia', jobId, id);
        const had = events.slice(0, n + 1);
        expect([id, sourcesOf(rest, sourcesOf(had)), textOf(rest, textOf(had))]).toEqual([
          id,
          urls,
          messageOf(events).content,
        ]);
        expect(sourcesOf(rest)).toEqual(urls);
      }
    });

    it('come in mid-turn from an assistant that shows no reasoning, and stay with a canceled reply', async () => {
      const noa = stack.as('noa');
      await stack.model.script('search and talk', {
        blocks: [
          { ...said('found it. '), citations: [CITED] },
          { type: 'text', pieces: Array(400).fill('on and ') },
        ],
        piece_delay_ms: 50,
      });
      const job = await noa.turnAsync((await noa.chat('general')).id, 'search and talk');
      await until(async () => (await left(job.id)) > 0, 'the saved source');
      const late = await openStream(other.url, tokenFor('noa'), `/api/v1/jobs/${job.id}/events`);
      const events: StreamEvent[] = [];
      for await (const event of late.events) {
        events.push(event);
        if (events.filter((one) => one.event === 'delta').length === 3 && event.event === 'delta')
          await noa.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
      }
      expect(sourcesOf(events)).toEqual([CITED.url]);
      expect(messageOf(events).parts.map(({ type }: any) => type)).toEqual(['text', 'source']);
      expect(textOf(events)).toBe(messageOf(events).content);
    });
  });
});
