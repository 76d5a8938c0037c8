import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStream } from '../support/events.js';
import { type Figures, metricsOf, metricsUrl } from '../support/figures.js';
import { METRICS } from '../support/metrics.js';
import { type Stack, startStack } from '../support/stack.js';
import { until } from '../support/until.js';
import { wire } from '../support/wire.js';

describe('metrics', () => {
  let stack: Stack;
  let api: string;
  let worker: string;
  beforeAll(async () => {
    stack = await startStack({ env: { METRICS_PORT: '0', WORKER_CONCURRENCY: '7' } });
    api = metricsUrl(stack.api.output());
    worker = stack.workers[0]?.url ?? '';
  });
  afterAll(() => stack.stop());

  const count = (figures: Figures, name: string): number => figures.get(name) ?? 0;

  it('are served on a port of their own by the API, and by the worker on its port', async () => {
    for (const url of [api, worker]) {
      const response = await fetch(new URL('/metrics', url));
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
      const figures = await metricsOf(url);
      for (const name of ['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes']) {
        expect([name, figures.has(name)]).toEqual([name, true]);
      }
      expect([...figures.keys()].filter((name) => name.startsWith('rejoinder_build_info'))).toEqual([
        expect.stringMatching(/^rejoinder_build_info\{version="\d+\.\d+\.\d+(?:[^\d"][^"]*)?"\}$/),
      ]);
      expect([figures.get('rejoinder_database_up'), figures.get('rejoinder_queue_up')]).toEqual([1, 1]);
      expect(figures.has('rejoinder_database_pool_connections{state="used"}')).toBe(true);
      expect((await fetch(new URL('/', url))).status).toBe(404);
      expect((await fetch(new URL('/metrics', url), { method: 'POST' })).status).toBeGreaterThanOrEqual(404);
    }
    expect((await stack.as('ana').get('/metrics')).status).toBe(404);
    const figures = await metricsOf(worker);
    expect([figures.get('rejoinder_worker_slots'), figures.get('rejoinder_circuit_open')]).toEqual([7, 0]);
  });

  it('show how long a process stood still, which no percentile does', async () => {
    // A scrape restarts the measurement, with the next tick. A block that begins before that is not in it.
    await metricsOf(api);
    await new Promise((resolve) => setTimeout(resolve, 200));
    stack.api.freeze();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    stack.api.thaw();
    // A few ticks, so that the process measures again.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(count(await metricsOf(api), 'nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(1);
  });

  it('include all those of dashboards and alerts, each with its type', async () => {
    const texts = await Promise.all([api, worker].map(async (url) => (await fetch(new URL('/metrics', url))).text()));
    const served = new Map(
      [...texts.join('\n').matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
    );
    const missing = Object.entries(METRICS).filter(([name, { type }]) => served.get(name) !== type);
    expect(missing).toEqual([]);
  });

  it('count a turn once, by its end, with its wait, the time to its first piece, and the model’s time', async () => {
    const before = await metricsOf(worker);
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('refuse this', { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
    await stack.model.script('twice please', { status: 529, error_type: 'overloaded_error' }, 1);
    expect((await ana.turn(chat.id, 'hello')).status).toBe(200);
    expect((await ana.turn(chat.id, 'refuse this')).status).toBe(502);
    expect((await ana.turn(chat.id, 'twice please')).status).toBe(200);
    const { rows } = await stack.database.query(
      'SELECT model, sum(input_tokens)::int AS input, sum(output_tokens)::int AS output FROM model_calls GROUP BY model',
    );
    const [{ model, input, output }] = rows;
    const gained = await until(async () => {
      const now = await metricsOf(worker);
      const gain = (name: string): number => count(now, name) - count(before, name);
      // The attempt's last write.
      return count(now, 'rejoinder_running_attempts') === 0 && gain;
    }, 'the attempts to be over');
    const expected = {
      [`rejoinder_turn_duration_seconds_count{assistant="support",status="succeeded"}`]: 2,
      [`rejoinder_turn_duration_seconds_count{assistant="support",status="failed"}`]: 1,
      [`rejoinder_turn_duration_seconds_count{assistant="support",status="canceled"}`]: 0,
      [`rejoinder_turn_first_text_seconds_count{assistant="support"}`]: 2,
      [`rejoinder_turn_wait_seconds_count{assistant="support"}`]: 4,
      [`rejoinder_turn_retries_total{code="model_unavailable"}`]: 1,
      [`rejoinder_model_calls_total{model="${model}",outcome="completed"}`]: 2,
      [`rejoinder_model_calls_total{model="${model}",outcome="failed"}`]: 2,
      [`rejoinder_model_call_duration_seconds_count{model="${model}",outcome="completed"}`]: 2,
      [`rejoinder_model_tokens_total{assistant="support",direction="input"}`]: input,
      [`rejoinder_model_tokens_total{assistant="support",direction="output"}`]: output,
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, gained(name)]))).toEqual(expected);
    expect(input).toBeGreaterThan(0);
    // The retry waits a second. That is in the turn's duration, but no attempt was due for long.
    expect(gained('rejoinder_turn_duration_seconds_sum{assistant="support",status="succeeded"}')).toBeGreaterThan(1);
  });

  it('count a cancel once, in the process that wrote it: the worker of a running turn, the API for one that waits', async () => {
    const ben = stack.as('ben');
    await stack.model.script('never ends', { hang_before_headers: true }, 1);
    const canceled = 'rejoinder_turn_duration_seconds_count{assistant="support",status="canceled"}';
    const both = async (): Promise<[number, number]> => [
      count(await metricsOf(api), canceled),
      count(await metricsOf(worker), canceled),
    ];
    const before = await both();
    const running = await ben.turnAsync((await ben.chat()).id, 'never ends');
    await until(async () => (await ben.get(`/api/v1/jobs/${running.id}`)).body.status === 'running', 'the attempt');
    await ben.patch(`/api/v1/jobs/${running.id}`, { status: 'canceled' });
    expect(await both()).toEqual([before[0], before[1] + 1]);
    await stack.model.script('much later', { status: 529, headers: { 'retry-after': '50' } }, 1);
    const waiting = await ben.turnAsync((await ben.chat()).id, 'much later');
    await until(async () => {
      const { status, attempts } = (await ben.get(`/api/v1/jobs/${waiting.id}`)).body;
      return status === 'queued' && attempts === 1;
    }, 'the first attempt to fail');
    await ben.patch(`/api/v1/jobs/${waiting.id}`, { status: 'canceled' });
    expect(await both()).toEqual([before[0] + 1, before[1] + 1]);
  });

  it('count the turns that a deletion cancels, once, in the process that deletes', async () => {
    const kim = stack.as('kim');
    const canceled = 'rejoinder_turn_duration_seconds_count{assistant="support",status="canceled"}';
    const both = async (): Promise<[number, number]> => [
      count(await metricsOf(api), canceled),
      count(await metricsOf(worker), canceled),
    ];
    const before = await both();
    await stack.model.script('until it is deleted', { hang_before_headers: true }, 1);
    const chat = await kim.chat();
    const { id } = await kim.turnAsync(chat.id, 'until it is deleted');
    await until(async () => (await kim.get(`/api/v1/jobs/${id}`)).body.status === 'running', 'the attempt');
    expect((await kim.request('DELETE', `/api/v1/chats/${chat.id}`)).status).toBe(204);
    await until(
      async () => (await stack.model.calls('until it is deleted'))[0]?.outcome === 'client_closed',
      'the end of the call',
    );
    expect(await both()).toEqual([before[0] + 1, before[1]]);
  });

  it('count the reconciler’s repairs, and the turns that it ends', async () => {
    const gus = stack.as('gus');
    await stack.model.script('too late', { status: 529, headers: { 'retry-after': '50' } }, 1);
    const job = await gus.turnAsync((await gus.chat()).id, 'too late');
    await until(async () => {
      const { status, attempts } = (await gus.get(`/api/v1/jobs/${job.id}`)).body;
      return status === 'queued' && attempts === 1;
    }, 'the first attempt to fail');
    const before = await metricsOf(worker);
    await stack.database.query(`UPDATE jobs SET created_at = now() - interval '61 minutes' WHERE id = $1`, [job.id]);
    expect((await gus.finalJob(job.id)).error?.code).toBe('expired');
    const expired = 'rejoinder_reconciler_repairs_total{kind="expired"}';
    const after = await until(async () => {
      const now = await metricsOf(worker);
      return count(now, expired) > count(before, expired) && now;
    }, 'the repair to be counted');
    const failed = 'rejoinder_turn_duration_seconds_count{assistant="support",status="failed"}';
    expect([count(after, expired) - count(before, expired), count(after, failed) - count(before, failed)]).toEqual([
      1, 1,
    ]);
    expect(count(after, 'rejoinder_turn_duration_seconds_sum{assistant="support",status="failed"}')).toBeGreaterThan(
      3_600,
    );
    for (const kind of ['unclaimed', 'abandoned', 'spent', 'orphaned_call']) {
      expect(after.has(`rejoinder_reconciler_repairs_total{kind="${kind}"}`)).toBe(true);
    }
  });

  it('label requests with the contract’s paths and statuses, and with nothing that clients invent', async () => {
    const cleo = stack.as('cleo');
    const chat = await cleo.chat();
    await cleo.get(`/api/v1/chats/${chat.id}`);
    await cleo.get('/api/v1/chats/not-an-id');
    await cleo.post(`/api/v1/chats/${chat.id}/turns`, {});
    await cleo.get('/api/v1/nothing-like-it');
    await fetch(new URL(`/api/v1/chats/${chat.id}`, stack.api.url));
    await wire(stack.api.url, `BREW /api/v1/made-up HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    const figures = await metricsOf(api);
    const seen = [...figures.keys()].filter((name) => name.startsWith('rejoinder_http_request_duration_seconds_count'));
    const of = (method: string, route: string, status: number): string =>
      `rejoinder_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`;
    for (const name of [
      of('POST', '/api/v1/assistants/{slug}/chats', 201),
      of('POST', '/api/v1/chats/{chat_id}/turns', 200),
      of('GET', '/api/v1/chats/{chat_id}', 200),
      of('GET', '/api/v1/chats/{chat_id}', 401),
      of('GET', '/api/v1/chats/{chat_id}', 404),
      of('POST', '/api/v1/chats/{chat_id}/turns', 422),
      of('GET', 'unknown', 404),
    ]) {
      expect(seen).toContain(name);
    }
    expect([...figures.keys()].join('\n')).not.toMatch(/made-up|nothing-like-it|not-an-id|BREW/);
    expect([...figures.keys()].join('\n')).not.toContain(chat.id);
  });

  it('leave a client’s wait out of its request’s time, and count a stream when it begins', async () => {
    const dan = stack.as('dan');
    const chat = await dan.chat();
    await stack.model.script('slowly now', { delay_ms: 4_000 }, 1);
    const name = (what: string): string =>
      `rejoinder_http_request_duration_seconds_${what}{method="POST",route="/api/v1/chats/{chat_id}/turns",status="200"}`;
    const before = await metricsOf(api);
    expect((await dan.turn(chat.id, 'slowly now')).status).toBe(200);
    const after = await metricsOf(api);
    expect(count(after, name('count')) - count(before, name('count'))).toBe(1);
    expect(count(after, name('sum')) - count(before, name('sum'))).toBeLessThan(4);

    await stack.model.script('stays open', { hang_before_headers: true }, 1);
    const job = await dan.turnAsync(chat.id, 'stays open');
    const stream = await openStream(stack.api.url, dan.token ?? '', `/api/v1/jobs/${job.id}/events`);
    const open = await metricsOf(api);
    expect(count(open, 'rejoinder_http_open_streams')).toBe(1);
    const route = 'method="GET",route="/api/v1/jobs/{job_id}/events",status="200"';
    expect(count(open, `rejoinder_http_request_duration_seconds_count{${route}}`)).toBe(1);
    stream.close();
    await until(async () => count(await metricsOf(api), 'rejoinder_http_open_streams') === 0, 'the stream’s end');
    await dan.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
  });

  it('show the queue’s length and the age of its oldest turn, from the database', async () => {
    const worker = stack.workers[0];
    const [eve, fay] = [stack.as('eve'), stack.as('fay')];
    await stack.model.script('another day', { status: 529, headers: { 'retry-after': '50' } }, 1);
    const delayed = await eve.turnAsync((await eve.chat()).id, 'another day');
    await until(async () => {
      const { status, attempts } = (await eve.get(`/api/v1/jobs/${delayed.id}`)).body;
      return status === 'queued' && attempts === 1;
    }, 'the first attempt to fail');
    worker?.freeze();
    try {
      const due = await fay.turnAsync((await fay.chat()).id, 'nobody comes for this');
      await stack.database.query(`UPDATE jobs SET created_at = now() - interval '90 seconds' WHERE id = $1`, [due.id]);
      const figures = await until(async () => {
        const now = await metricsOf(api);
        return count(now, 'rejoinder_queue_oldest_seconds') >= 90 && now;
      }, 'the queue to be read anew');
      expect(count(figures, 'rejoinder_queue_oldest_seconds')).toBeLessThan(150);
      for (const [state, jobs] of [
        ['due', 1],
        ['delayed', 1],
        ['running', 0],
      ] as const) {
        expect([state, count(figures, `rejoinder_queue_jobs{state="${state}"}`)]).toEqual([state, jobs]);
      }
    } finally {
      worker?.thaw();
    }
  });
});
