import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack } from '../support/stack.js';

describe('chats', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  it('fifty concurrent upserts make one chat with one welcome message', async () => {
    const ana = stack.as('ana');
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => ana.post('/api/v1/assistants/support/chats', { title: 'Mine' })),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    for (const { body } of answers) expect(body.messages).toHaveLength(1);
    const { rows } = await stack.database.query(`SELECT count(*)::int AS n FROM chats WHERE user_id = 'ana'`);
    expect(rows).toEqual([{ n: 1 }]);
  });

  it('takes title and metadata when it is created, and keeps them when it is retrieved', async () => {
    const ben = stack.as('ben');
    const created = await ben.post('/api/v1/assistants/support/chats', {
      title: 'Reinstall',
      metadata: { from: 'faq' },
    });
    expect(created.body).toMatchObject({ title: 'Reinstall', metadata: { from: 'faq' } });
    const again = await ben.post('/api/v1/assistants/support/chats', { title: 'Other' });
    expect(again.body).toMatchObject({ id: created.body.id, title: 'Reinstall', metadata: { from: 'faq' } });
  });

  it('goes active ⇄ archived → closed, and closed is final', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    const path = `/api/v1/chats/${chat.id}`;
    expect((await eva.patch(path, { status: 'archived' })).body.status).toBe('archived');
    expect((await eva.patch(path, { status: 'archived' })).status).toBe(200);
    expect((await eva.patch(path, { status: 'active' })).body.status).toBe('active');
    expect((await eva.patch(path, { status: 'closed' })).body.status).toBe('closed');
    for (const status of ['active', 'archived']) {
      const refused = await eva.patch(path, { status });
      expect([refused.status, refused.body.code]).toEqual([409, 'invalid_transition']);
    }
  });

  it('takes turns and messages only while it is active', async () => {
    const kim = stack.as('kim');
    const chat = await kim.chat();
    await kim.patch(`/api/v1/chats/${chat.id}`, { status: 'archived' });
    for (const answer of [
      await kim.turn(chat.id, 'hello'),
      await kim.post(`/api/v1/chats/${chat.id}/messages`, { content: 'hello' }),
      await kim.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id }),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([409, 'chat_not_active']);
    }
    expect((await kim.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(1);
  });

  it('is not reopened while another chat with the assistant is active', async () => {
    const leo = stack.as('leo');
    const first = await leo.chat();
    await leo.patch(`/api/v1/chats/${first.id}`, { status: 'archived' });
    const second = await leo.chat();
    expect(second.id).not.toBe(first.id);
    const refused = await leo.patch(`/api/v1/chats/${first.id}`, { status: 'active' });
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_transition']);
  });

  it('is changed only from the state that the caller has seen (If-Match)', async () => {
    const mia = stack.as('mia');
    const chat = await mia.chat();
    const path = `/api/v1/chats/${chat.id}`;
    const etag = (await mia.get(path)).headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[^"]+"$/);

    const changed = await mia.patch(path, { title: 'One' }, { 'if-match': etag });
    expect(changed.status).toBe(200);
    const stale = await mia.patch(path, { title: 'Two' }, { 'if-match': etag });
    expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed']);
    const weak = await mia.patch(path, { title: 'Two' }, { 'if-match': `W/${changed.headers.get('etag')}` });
    expect(weak.status).toBe(412);
    expect((await mia.get(path)).body.title).toBe('One');
    const listed = await mia.patch(path, { title: 'Two' }, { 'if-match': `"x", ${changed.headers.get('etag')}` });
    expect(listed.status).toBe(200);
    expect((await mia.patch(path, { title: null }, { 'if-match': '*' })).body.title).toBeNull();
  });

  it('keeps every metadata field whatever its name, and has one ETag on all paths', async () => {
    const una = stack.as('una');
    const metadata = { page: 'faq', a: '1', constructor: 'x', toString: 'y', hasOwnProperty: 'z' };
    const created = await una.post('/api/v1/assistants/general/chats', { metadata });
    expect(created.body.metadata).toEqual(metadata);
    const path = `/api/v1/chats/${created.body.id}`;
    const changed = await una.patch(path, { metadata: { zeta: '1', page: 'faq', a: '2' } });
    expect((await una.get(path)).headers.get('etag')).toBe(changed.headers.get('etag'));
    // A request for the present values is no change.
    const same = await una.patch(path, { status: 'active', metadata: { a: '2', page: 'faq', zeta: '1' } });
    expect([same.headers.get('etag'), same.body]).toEqual([changed.headers.get('etag'), changed.body]);
  });

  it('names the turn in flight in every answer, and has another ETag once that has ended', async () => {
    const pia = stack.as('pia');
    const chat = await pia.chat();
    const path = `/api/v1/chats/${chat.id}`;
    const named = async (): Promise<unknown[]> => [
      (await pia.chat()).unfinished_job_id,
      (await pia.get(path)).body.unfinished_job_id,
      (await pia.get('/api/v1/chats')).body.data[0].unfinished_job_id,
      (await pia.patch(path, { title: String(Math.random()) })).body.unfinished_job_id,
      (await pia.patch(path, { status: 'active' })).body.unfinished_job_id,
    ];
    expect(new Set(await named())).toEqual(new Set([null]));

    await stack.model.script('for a while', { delay_ms: 60_000 });
    const job = await pia.turnAsync(chat.id, 'for a while');
    expect(new Set(await named())).toEqual(new Set([job.id]));
    // A replay with the key gives the first answer, even later.
    const open = () => pia.post('/api/v1/assistants/support/chats', {}, { 'idempotency-key': 'while in flight' });
    const found = await open();
    const during = await pia.get(path);
    const changed = await pia.patch(path, { title: 'T' }, { 'if-match': during.headers.get('etag') ?? '' });
    expect(changed.headers.get('etag')).toBe((await pia.get(path)).headers.get('etag'));

    await pia.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    await pia.finalJob(job.id);
    expect(new Set(await named())).toEqual(new Set([null]));
    expect((await pia.get(path)).headers.get('etag')).not.toBe(changed.headers.get('etag'));
    expect((await open()).body).toEqual(found.body);
    expect(found.body.unfinished_job_id).toBe(job.id);
    // Another user's turn is not named.
    expect((await stack.as('quin').chat()).unfinished_job_id).toBeNull();
  });

  it('is found by its id in capitals, too, and answers with its own spelling', async () => {
    const vic = stack.as('vic');
    const chat = await vic.chat();
    const turn = await vic.turn(chat.id.toUpperCase(), 'hello');
    expect([turn.status, turn.body.user_message.chat_id]).toEqual([200, chat.id]);
  });

  it('has another ETag after a new message', async () => {
    const ned = stack.as('ned');
    const chat = await ned.chat();
    const etag = (await ned.get(`/api/v1/chats/${chat.id}/messages`)).headers.get('etag') ?? '';
    await ned.turn(chat.id, 'something new');
    const after = await ned.get(`/api/v1/chats/${chat.id}/messages`, { headers: { 'if-none-match': etag } });
    expect(after.status).toBe(200);
  });

  it('lists them by newest activity, filtered, and pages without loss', async () => {
    const oda = stack.as('oda');
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) {
      const chat = await oda.chat(n % 2 === 0 ? 'support' : 'billing');
      ids.unshift(chat.id);
      await oda.patch(`/api/v1/chats/${chat.id}`, { status: n === 6 ? 'active' : 'archived' });
    }
    const seen: string[] = [];
    let before: string | null = null;
    do {
      const query: string = before === null ? '' : `&before=${before}`;
      const { body } = await oda.get(`/api/v1/chats?limit=3${query}`);
      seen.push(...body.data.map((chat: any) => chat.id));
      before = body.before;
      expect(body.has_more).toBe(before !== null);
    } while (before !== null);
    expect(seen).toEqual(ids);

    const billing = await oda.get('/api/v1/chats?assistant=billing&status=archived');
    expect(billing.body.data.map((chat: any) => chat.assistant)).toEqual(['billing', 'billing', 'billing']);
    expect((await oda.get('/api/v1/chats?status=active')).body.data).toHaveLength(1);

    // The oldest chat gets a message, so it becomes the newest, and `after` finds it.
    const top = (await oda.get('/api/v1/chats?limit=1')).body;
    const oldest = ids.at(-1) as string;
    await oda.patch(`/api/v1/chats/${ids[0]}`, { status: 'closed' });
    await oda.patch(`/api/v1/chats/${oldest}`, { status: 'active' });
    await oda.post(`/api/v1/chats/${oldest}/messages`, { content: 'hello again' });
    const newer = await oda.get(`/api/v1/chats?after=${top.after}`);
    expect(newer.body.data.map((chat: any) => chat.id)).toEqual([oldest]);
  });
});
