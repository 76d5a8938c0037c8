import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { Client, contract } from '../support/client.js';
import type { ContractOperation } from '../support/contract.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { exactAnswer } from '../support/exact-answer.js';
import { wire } from '../support/wire.js';

const NOBODYS = '0199a0de-0000-7000-8000-000000000000';

/** Caching (RFC 9111) and conditional requests (RFC 9110, section 13). Jobs stay queued, so nothing changes by itself. */
describe('caching', () => {
  let stack: Stack;
  let ana: Client;
  let chat: string;
  let job: string;
  let receipt: string;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 0 });
    // An operator, who also is an ordinary user.
    ana = new Client(stack.api.url, tokenFor('ana', { scope: 'admin' }));
    chat = (await ana.chat()).id;
    job = (await ana.turnAsync(chat, 'hello')).id;
    const zoe = stack.as('zoe');
    await zoe.chat();
    receipt = (await zoe.request('DELETE', '/api/v1/me')).body.id;
  });
  afterAll(() => stack.stop());

  const pathOf = ({ path }: ContractOperation): string =>
    path
      // An operator's list of chats is that of one user.
      .replace(/\/admin\/chats$/, '/admin/chats?user=ana')
      .replace('{slug}', 'support')
      .replace('{chat_id}', chat)
      .replace('{job_id}', job)
      .replace('{receipt_id}', receipt);
  /** Operations whose answers have a tag. */
  const reads = contract.operations.filter(({ statuses }) => statuses.includes(304));
  const get = async (client: Client, path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const answer = await exactAnswer(client, method, path, { headers });
    // `fetch` closes the connection of a HEAD, and sends a header for that.
    const kept = Object.entries(answer.headers).filter(([name]) => name !== 'connection' && name !== 'keep-alive');
    return { ...answer, headers: Object.fromEntries(kept) as Record<string, string> };
  };
  const words = (header: string | undefined): string[] => (header ?? '').toLowerCase().split(', ').sort();

  it('is private to the caller, and revalidates by tag: 304 by weak comparison, in any list, to GET and HEAD', async () => {
    expect(reads.length).toBeGreaterThan(10);
    for (const operation of reads) {
      const path = pathOf(operation);
      const { status, headers, body } = await get(ana, path);
      const { etag = '' } = headers;
      expect([operation.id, status, headers['cache-control']]).toEqual([operation.id, 200, 'private, no-cache']);
      expect(etag).toMatch(/^"[\w-]{27}"$/);
      const prefer = operation.id === 'getJob' ? ['prefer'] : [];
      expect(words(headers['vary'])).toEqual(['accept', 'authorization', ...prefer]);

      const { 'content-type': _type, 'content-length': length, ...kept } = headers;
      for (const list of [etag, `W/${etag}`, `"a,", W/"b",,\t${etag} `, ' *']) {
        for (const method of ['GET', 'HEAD']) {
          const again = await get(
            ana,
            path,
            { 'if-none-match': list, 'if-modified-since': new Date(0).toUTCString() },
            method,
          );
          expect([operation.id, method, list, again]).toEqual([
            operation.id,
            method,
            list,
            { status: 304, headers: kept, body: '' },
          ]);
        }
      }
      // A date or a range has no effect here, nor has a value that is no list of tags.
      for (const ignored of [
        { 'if-modified-since': new Date().toUTCString(), 'if-unmodified-since': new Date(0).toUTCString() },
        { 'if-none-match': '"other"', 'if-modified-since': new Date().toUTCString() },
        { 'if-none-match': `"other" ${etag}` },
        { range: 'bytes=0-3', 'if-range': etag },
      ] as Record<string, string>[]) {
        expect([operation.id, ignored, await get(ana, path, ignored)]).toEqual([
          operation.id,
          ignored,
          { status: 200, headers, body },
        ]);
      }
      expect(await get(ana, path, {}, 'HEAD')).toEqual({
        status: 200,
        headers: { ...headers, 'content-length': length },
        body: '',
      });
    }
  });

  it('If-Match comes before If-None-Match, by strong comparison; another version is 412, without a tag', async () => {
    for (const operation of reads) {
      const path = pathOf(operation);
      const { etag = '' } = (await get(ana, path)).headers;
      const statuses: [Record<string, string>, number][] = [
        [{ 'if-match': etag }, 200],
        [{ 'if-match': `"a,",${etag}` }, 200],
        [{ 'if-match': '*' }, 200],
        [{ 'if-match': `W/${etag}` }, 412],
        [{ 'if-match': '"other"' }, 412],
        [{ 'if-match': `${etag} "other"` }, 412],
        [{ 'if-match': '"other"', 'if-none-match': etag }, 412],
        [{ 'if-match': etag, 'if-none-match': etag }, 304],
        [{ 'if-match': etag, 'if-none-match': '"other"' }, 200],
      ];
      for (const [headers, status] of statuses) {
        const answer = await get(ana, path, headers);
        expect([operation.id, headers, answer.status]).toEqual([operation.id, headers, status]);
        if (status !== 412) continue;
        // A 412 has none of a 200's headers, not even those of a job's next state.
        const { 'cache-control': cacheControl, etag: tag, link, 'retry-after': again } = answer.headers;
        expect([cacheControl, tag, link, again]).toEqual(['no-store', undefined, undefined, undefined]);
      }
    }
  });

  it('lines of one header count as one list', async () => {
    const path = `/api/v1/chats/${chat}`;
    const { etag } = (await get(ana, path)).headers;
    const lines = (name: string, ...values: string[]) => values.map((value) => `${name}: ${value}\r\n`).join('');
    const status = async (headers: string) => {
      const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ana.token}\r\n`;
      return (await wire(stack.api.url, `${head}Connection: close\r\n${headers}\r\n`)).slice(9, 12);
    };
    expect(await status(lines('If-None-Match', '"a"', `W/${etag}`))).toBe('304');
    expect(await status(lines('If-None-Match', '"a"', '"b"'))).toBe('200');
    expect(await status(lines('If-Match', '"a"', `${etag}`))).toBe('200');
    expect(await status(lines('If-Match', '"a"', '"b"'))).toBe('412');
  });

  it('a tag belongs to one user: it never confirms another user’s version, even an equal one', async () => {
    const [eve, ned] = [stack.as('eve'), stack.as('ned')];
    for (const path of [
      '/api/v1/chats',
      '/api/v1/assistants',
      '/api/v1/assistants/support',
      `/api/v1/receipts/${receipt}`,
    ]) {
      const [one, another] = [await get(eve, path), await get(ned, path)];
      expect(one.body).toBe(another.body);
      const { etag = '' } = one.headers;
      expect(another.headers['etag']).not.toBe(etag);
      expect((await get(ned, path, { 'if-none-match': etag })).status).toBe(200);
      expect((await get(eve, path, { 'if-none-match': etag })).status).toBe(304);
    }
  });

  it('a change is made only if its preconditions hold, and they never hold for what does not exist', async () => {
    const changes: [string, string, object?][] = [
      ['DELETE', `/api/v1/chats/${chat}`],
      ['PATCH', `/api/v1/chats/${chat}`, { title: 'T' }],
      ['PATCH', `/api/v1/jobs/${job}`, { status: 'canceled' }],
      ['PATCH', '/api/v1/admin/dispatch', { paused: true }],
      ['PATCH', `/api/v1/admin/jobs/${job}`, { status: 'queued' }],
    ];
    for (const [method, path, body] of changes) {
      const before = await get(ana, path);
      const { etag = '' } = before.headers;
      for (const headers of [
        { 'if-none-match': '*' },
        { 'if-none-match': `"other", W/${etag}` },
        { 'if-none-match': 'other' },
        { 'if-match': etag, 'if-none-match': etag },
        { 'if-match': `W/${etag}` },
        { 'if-match': '' },
        { 'if-match': '"other"', 'if-none-match': '"other"' },
      ] as Record<string, string>[]) {
        expect([path, headers, (await ana.request(method, path, { body, headers })).status]).toEqual([
          path,
          headers,
          412,
        ]);
        const none = path.replace(/[^/]{36}$/, NOBODYS);
        if (none !== path) expect((await ana.request(method, none, { body, headers })).status).toBe(404);
      }
      expect(await get(ana, path)).toEqual(before);
    }
    for (const [method, path, body] of changes.reverse()) {
      const { etag = '' } = (await get(ana, path)).headers;
      const headers = { 'if-match': `"other", ${etag}`, 'if-none-match': '"other"' };
      // The job has not failed, so it is not requeued. The answer says so once the preconditions hold.
      expect((await ana.request(method, path, { body, headers })).status).toBe(
        path.includes('admin/jobs') ? 409 : method === 'DELETE' ? 204 : 200,
      );
    }
    await ana.patch('/api/v1/admin/dispatch', { paused: false });
    chat = (await ana.chat()).id;
    job = (await ana.turnAsync(chat, 'hello again')).id;
  });

  it('answers without a tag are not stored: streams, exports, empty answers, errors', async () => {
    const post = (path: string, headers: Record<string, string>, body: object) =>
      exactAnswer(ana, 'POST', path, { headers, body });
    const billing = (await ana.chat('billing')).id;
    const answers = {
      export: await get(ana, '/api/v1/me/export'),
      'head of an export': await get(ana, '/api/v1/me/export', {}, 'HEAD'),
      'head of a stream': await get(ana, `/api/v1/jobs/${job}/events`, {}, 'HEAD'),
      'end of a stream': await get(ana, `/api/v1/jobs/${job}/events`, { 'last-event-id': 'end' }),
      'deleted chat': await exactAnswer(ana, 'DELETE', `/api/v1/chats/${billing}`),
      unauthorized: await get(new Client(stack.api.url, undefined), '/api/v1/chats'),
      'not found': await get(ana, `/api/v1/chats/${NOBODYS}`, { 'if-none-match': '*' }),
      'not acceptable': await get(ana, '/api/v1/chats', { accept: 'text/html' }),
      'method not allowed': await exactAnswer(ana, 'PUT', '/api/v1/chats'),
      'no such address': await get(ana, '/api/v1/nothing'),
      invalid: await get(ana, '/api/v1/chats?limit=0'),
      conflict: await post(`/api/v1/chats/${chat}/turns`, {}, { user_message: 'x' }),
    };
    for (const [name, { headers }] of Object.entries(answers)) {
      expect([name, headers['cache-control'], headers['etag']]).toEqual([
        name,
        name === 'head of a stream' ? 'no-store, no-transform' : 'no-store',
        undefined,
      ]);
    }
    for (const name of ['export', 'head of an export', 'head of a stream'] as const) {
      expect([name, words(answers[name].headers['vary'])]).toEqual([name, ['accept', 'authorization']]);
      // The length of a stream is unknown, and 0 would count as its length.
      expect([name, answers[name].headers['content-length']]).toEqual([name, undefined]);
    }
  });

  it('an answer that depends on Prefer says so, whether the request had it or not', async () => {
    for (const prefer of ['respond-async', 'note="a, wait=9", respond-async=""; x=y', 'wait=0, wait=5']) {
      const { id } = await ana.chat('billing');
      const turn = await exactAnswer(ana, 'POST', `/api/v1/chats/${id}/turns`, {
        headers: { prefer },
        body: { user_message: 'x' },
      });
      expect([prefer, turn.status, words(turn.headers['vary'])]).toEqual([
        prefer,
        202,
        ['accept', 'authorization', 'prefer'],
      ]);
      expect(turn.headers['preference-applied']).toBe(prefer.startsWith('wait') ? 'wait=0' : 'respond-async');
      await ana.request('DELETE', `/api/v1/chats/${id}`);
    }
    const gone = await exactAnswer(stack.as('nobody'), 'DELETE', '/api/v1/me');
    expect([gone.status, words(gone.headers['vary'])]).toEqual([200, ['accept', 'authorization', 'prefer']]);
  });

  it('the contract and its pages are public, and revalidated', async () => {
    const anybody = new Client(stack.api.url, undefined);
    const { headers } = await get(anybody, '/openapi.yaml');
    const { etag = '' } = headers;
    expect([headers['cache-control'], etag]).toEqual(['no-cache', expect.stringMatching(/^"[\w-]{27}"$/)]);
    for (const method of ['GET', 'HEAD']) {
      const again = await get(anybody, '/openapi.yaml', { 'if-none-match': `W/${etag}` }, method);
      expect([again.status, again.headers['content-length'], again.headers['etag']]).toEqual([304, undefined, etag]);
    }
    for (const path of ['/docs', '/docs/', '/docs/page.js', '/docs/swagger-ui.css']) {
      expect([path, (await get(anybody, path)).headers['cache-control']]).toEqual([path, 'no-cache']);
    }
  });
});
