import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collect, openStream, reasoningOf, sourcesOf, type StreamEvent, textOf } from '../support/events.js';
import { FeedConnections } from '../support/feed.js';
import { said, showReasoning, thoughts, words } from '../support/reasoning.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

/** Thoughts that take a minute. */
const LONG = thoughts(words(600, 'lost'), 50);
/** The first step: it thinks, says something with a source, and pauses. */
const FIRST = {
  blocks: [
    thoughts('First I search 😀.'),
    {
      ...(said('Searching.') as { text: string }),
      citations: [{ type: 'web_search_result_location', url: 'https://a.test/' }],
    },
    { type: 'server_tool_use', name: 'web_search', input: { query: 'the answer' } },
  ],
  stop_reason: 'pause_turn',
};
const found = { type: 'web_search_tool_result', content: [] };

describe('visible thoughts', () => {
  let stack: Stack;
  let feed: FeedConnections;
  beforeAll(async () => {
    stack = await startStack({ env: { WORKER_DRAIN_SECONDS: '1' } });
    feed = FeedConnections.of(stack);
    await showReasoning(stack, 'support');
  });
  afterAll(async () => {
    feed.close();
    await stopSound(stack);
  });

  const open = (user: string, jobId: string, from?: string) =>
    openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`, {
      headers: from === undefined ? {} : { 'last-event-id': from },
    });
  /** Begins a turn, and waits until this much of its step under way is saved. */
  const thinking = async (user: string, text: string, enough: string): Promise<string> => {
    const client = stack.as(user);
    const { id } = await client.turnAsync((await client.chat()).id, text);
    await until(async () => {
      const { rows } = await stack.database.query('SELECT parts::text FROM draft_parts WHERE job_id = $1', [id]);
      return String(rows[0]?.parts).includes(enough);
    }, 'saved thoughts');
    return id;
  };
  const killWorker = async (): Promise<void> => {
    await stack.workers.pop()?.kill();
    stack.workers.push(await stack.startWorker());
  };
  const resetsOf = (events: readonly StreamEvent[]): unknown[] =>
    events.flatMap(({ event, data }) => (event === 'reset' ? [data] : []));
  const messageOf = (events: readonly StreamEvent[]): any => events.find(({ event }) => event === 'message')?.data;
  const leftovers = async (): Promise<unknown[]> =>
    (
      await stack.database.query(
        'SELECT FROM draft_parts d JOIN jobs j ON j.id = d.job_id WHERE j.finished_at IS NOT NULL',
      )
    ).rows;

  it('whose worker is killed are forgotten, also by a client that has no text and comes back later', async () => {
    await stack.model.script('killed while it thinks', { blocks: [LONG, said('never')] }, 1);
    await stack.model.script('killed while it thinks', { blocks: [thoughts('A second try.'), said('Here I am.')] });
    const id = await thinking('ana', 'killed while it thinks', 'lost 9');
    const stream = await open('ana', id);
    const live: StreamEvent[] = [];
    // A client that leaves with thoughts of the first attempt, and without text.
    const gone = await open('ana', id);
    let had = '';
    for await (const event of gone.events) {
      had = reasoningOf([event], had);
      if (event.event === 'reasoning') break;
    }
    gone.close();
    expect(had).toContain('lost 0');
    for await (const event of stream.events) {
      live.push(event);
      if (live.filter((one) => one.event === 'reasoning').length === 3 && event.event === 'reasoning')
        await killWorker();
    }
    expect(resetsOf(live)).toEqual([{ attempt: 2, offset: 0, reasoning_offset: 0 }]);
    expect([reasoningOf(live), textOf(live)]).toEqual(['A second try.', 'Here I am.']);
    const rest = await collect(await open('ana', id, '1.0'));
    expect(resetsOf(rest)).toEqual([{ attempt: 2, offset: 0, reasoning_offset: 0 }]);
    expect(reasoningOf(rest, had)).toBe('A second try.');
    // A client of the second attempt has nothing to forget.
    expect(resetsOf(await collect(await open('ana', id, '2.0')))).toEqual([]);
    expect(await leftovers()).toEqual([]);
  });

  it('of a step under way are forgotten, those of finished steps stay, with their sources', async () => {
    const text = 'killed in the second';
    await stack.model.script(text, FIRST, 1);
    await stack.model.script(text, { blocks: [found, LONG, said('never')] }, 1);
    await stack.model.script(text, { blocks: [found, thoughts('Once more.'), said('It is 42.')], piece_delay_ms: 200 });
    const id = await thinking('ben', text, 'lost 9');
    const stream = await open('ben', id);
    const live: StreamEvent[] = [];
    let early: StreamEvent[] | undefined;
    let resumed: Promise<StreamEvent[]> | undefined;
    for await (const event of stream.events) {
      live.push(event);
      if (event.event === 'reasoning' && event.data.reasoning.includes('lost') && early === undefined) {
        early = [...live];
        await killWorker();
      }
      // It comes back while the second attempt runs: its place is before that.
      if (event.event === 'reset') resumed = open('ben', id, early?.at(-1)?.id).then(collect);
    }
    const kept = 'First I search 😀.';
    expect(resetsOf(live)).toEqual([{ attempt: 2, offset: 'Searching.'.length, reasoning_offset: kept.length }]);
    const whole = `${kept}\n\nOnce more.`;
    for (const [events, before] of [
      [live, []],
      [await resumed!, early!],
    ] as const) {
      expect(reasoningOf(events, reasoningOf(before))).toBe(whole);
      expect(textOf(events, textOf(before))).toBe('Searching.\n\nIt is 42.');
      expect(sourcesOf(events, sourcesOf(before))).toEqual(['https://a.test/']);
    }
    expect(messageOf(live).parts.map(({ type }: any) => type)).toEqual([
      'reasoning',
      'text',
      'source',
      'reasoning',
      'text',
    ]);
  });

  it('are kept, as far as they are saved, by a cancel whose worker does not answer', async () => {
    const slow = { type: 'text', pieces: Array(600).fill('on and ') };
    await stack.model.script('frozen', { blocks: [thoughts('I think it over.'), slow], piece_delay_ms: 50 });
    const id = await thinking('cyd', 'frozen', 'think it over');
    await until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [id]);
      return String(rows[0]?.draft).includes('on and');
    }, 'saved text');
    const [worker] = stack.workers;
    worker?.freeze();
    const { body } = await stack.as('cyd').patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
    worker?.thaw();
    const { content, parts } = body.assistant_message;
    expect(parts).toEqual([
      { type: 'reasoning', text: 'I think it over.' },
      { type: 'text', text: content },
    ]);
    expect(await leftovers()).toEqual([]);
  });

  it('that were handed back stay out of a cancel between two attempts', async () => {
    await stack.model.script('handed back', { blocks: [LONG, said('never')] });
    const id = await thinking('dan', 'handed back', 'lost 9');
    await stack.database.query('UPDATE dispatch SET paused = true');
    await stack.workers.pop()?.stop();
    try {
      const dan = stack.as('dan');
      expect((await dan.get(`/api/v1/jobs/${id}`)).body.status).toBe('queued');
      expect((await dan.patch(`/api/v1/jobs/${id}`, { status: 'canceled' })).body.assistant_message).toBeNull();
    } finally {
      await stack.database.query('UPDATE dispatch SET paused = false');
      stack.workers.push(await stack.startWorker());
    }
  });

  it('arrive whole although the feed is cut again and again', async () => {
    const thought = words(120);
    await stack.model.script('cut', { blocks: [thoughts(thought, 40), said('done')] });
    const eve = stack.as('eve');
    const job = await eve.turnAsync((await eve.chat()).id, 'cut');
    const stream = await open('eve', job.id);
    const events: StreamEvent[] = [];
    let cuts = 0;
    for await (const event of stream.events) {
      events.push(event);
      const pieces = events.filter((one) => one.event === 'reasoning').length;
      if (event.event === 'reasoning' && pieces % 10 === 3 && cuts < 4)
        cuts += await feed.cut(cuts % 2 ? 'api' : 'worker');
    }
    expect(cuts).toBeGreaterThan(1);
    expect(reasoningOf(events)).toBe(thought);
    expect(events.filter(({ event }) => event === 'reasoning').length).toBeGreaterThan(10);
  });
});
