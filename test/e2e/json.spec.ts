import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { type Client } from '../support/client.js';
import type { Stack } from '../support/stack.js';

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const bytes = (...inside: number[]): Uint8Array =>
  Buffer.concat([Buffer.from('{"content":"a'), Buffer.from(inside), Buffer.from('"}')]);

describe('a body', () => {
  let stack: Stack;
  let ana: Client;
  let chatId: string;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 0 });
    ana = stack.as('ana');
    chatId = (await ana.chat()).id;
  });
  afterAll(() => stack.stop());

  const post = (raw: string | Uint8Array, headers: Record<string, string> = {}): Promise<any> =>
    ana.request('POST', `/api/v1/chats/${chatId}/messages`, {
      raw,
      headers: { 'content-type': 'application/json', ...headers },
    });

  it.each([
    'text/json',
    'application/problem+json',
    'application/merge-patch+json',
    'application/json5',
    'application/json, text/plain',
    'application/json garbage',
    'application',
    '/json',
    '*/*',
    'text/plain; x=application/json',
    // RFC 8259, section 8.1: JSON is UTF-8.
    'application/json; charset=utf-16',
    'application/json; charset=latin1',
    'application/json; charset=',
    'application/json; charset=utf-8; charset=utf-16',
    'application/json; CHARSET="utf-16"',
  ])('of type %s is 415', async (type) => {
    const { status, body } = await post('{"content":"x"}', { 'content-type': type });
    expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
  });

  it.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json;charset=UTF8',
    'application/json; charset="utf-8"',
    'application/json;',
    'application/json; boundary="a;b"',
  ])('of type %s is read', async (type) => {
    expect((await post('{"content":"x"}', { 'content-type': type })).status).toBe(201);
  });

  it.each(['gzip', 'GZIP', 'br', 'identity, gzip', 'x'])(
    'in the coding %s is 415, and the answer names an accepted one',
    async (coding) => {
      for (const raw of [gzipSync('{"content":"x"}'), '{"content":"x"}']) {
        const { status, headers, body } = await post(raw, { 'content-encoding': coding });
        expect([status, body.code, headers.get('accept-encoding')]).toEqual([
          415,
          'unsupported_media_type',
          'identity',
        ]);
      }
    },
  );

  it('without a coding is read', async () => {
    expect((await post('{"content":"x"}', { 'content-encoding': 'identity' })).status).toBe(201);
  });

  it.each<[string, string | Uint8Array]>([
    ['names a field twice', '{"content":"a","content":"b"}'],
    ['names a field twice, once by escapes', '{"content":"a","\\u0063ontent":"b"}'],
    ['names a field twice within', '{"content":"a","metadata":{"k":"1","k":"2"}}'],
    ['hides a field behind another', '{"content":"a","role":"system","role":1}'],
    ['has a prototype, by escapes', '{"content":"a","\\u005f_proto__":{"x":1}}'],
    ['has a prototype within', '{"content":"a","metadata":{"__proto__":"x"}}'],
    ['has the prototype of a constructor', '{"content":"a","constructor":{"prototype":{}}}'],
    ['has two byte order marks', '\ufeff\ufeff{"content":"a"}'],
    ['goes on after its end', '{"content":"a"} x'],
    ['is two', '{"content":"a"}{"content":"b"}'],
    ['ends with NUL', '{"content":"a"}\0'],
    ['has an extra comma', '{"content":"a",}'],
    ['has a comment', '{"content":"a"/* */}'],
    ['has single quotes', "{'content':'a'}"],
    ['has a number that is not one', '{"content":NaN}'],
    ['has a line end in a text', '{"content":"a\nb"}'],
    ['has spaces that JSON does not allow', '\u00a0{"content":"a"}'],
    ['is white space', '  '],
    ['never closes', '['.repeat(250_000)],
    ['has overlong UTF-8', bytes(0xc0, 0xaf)],
    ['has half a surrogate pair in UTF-8', bytes(0xed, 0xa0, 0x80)],
    ['has characters beyond Unicode', bytes(0xf4, 0x90, 0x80, 0x80)],
    ['has half a character', bytes(0xe2, 0x82)],
    ['is UTF-16', Buffer.from('{"content":"a"}', 'utf16le')],
  ])('that %s is 400', async (_, raw) => {
    const { status, body } = await post(raw);
    expect([status, body.code]).toEqual([400, 'malformed_request']);
  });

  it('that names a field twice gets an answer that names it, in a few words', async () => {
    expect((await post('{"content":"a","content":"b"}')).body.message).toBe('The body has the field "content" twice.');
    const name = '\u{1f600}'.repeat(500);
    const { message } = (await post(`{"x${name}":1,"x${name}":2}`)).body;
    expect([message.length < 200, message.isWellFormed()]).toEqual([true, true]);
  });

  it.each<[string, string]>([
    ['is a text', '"x"'],
    ['is true', 'true'],
    ['is a list of the right object', '[{"content":"a"}]'],
    ['is 130,000 lists deep', deep(130_000)],
    ['has a field 50,000 lists deep', `{"content":"a","metadata":${deep(50_000)}}`],
    ['is 40,000 objects deep', `${'{"content":'.repeat(20_000)}1${'}'.repeat(20_000)}`],
    [
      'has 10,000 fields called by numbers',
      `{${Array.from({ length: 10_000 }, (_, n) => `"${n * 7919}":1`).join(',')}}`,
    ],
    ['has a field with a name of 200,000 letters', `{"${'k'.repeat(200_000)}":1}`],
    ['has a number of 200,000 digits', `{"content":${'9'.repeat(200_000)}}`],
    ['has a number beyond all bounds', '{"content":1e400}'],
    ['has a negative zero', '{"content":-0}'],
    ['has a field called then', '{"content":"a","then":"x"}'],
    ['has a field with no name', '{"content":"a","":1}'],
    ['has NUL in the name of a field', '{"content":"a","\\u0000":1}'],
    ['has half a surrogate pair in the name of a field', '{"content":"a","\\ud800":1}'],
    ['has NUL in a key', '{"content":"a","metadata":{"a\\u0000":"x"}}'],
    ['has NUL in a value', '{"content":"a","metadata":{"a":"\\u0000"}}'],
    ['has half a surrogate pair in a key', '{"content":"a","metadata":{"\\udc00":"x"}}'],
    ['has half a surrogate pair in a value', '{"content":"a","metadata":{"a":"\\udc00"}}'],
  ])('that %s is 422', async (_, raw) => {
    const { status, body } = await post(raw);
    expect([status, body.code]).toEqual([422, 'validation_failed']);
  });

  it('with very many faults gets a short answer', async () => {
    const { body } = await post(`{${Array.from({ length: 15_000 }, (_, n) => `"k${n}":1`).join(',')}}`);
    expect(body.details.length).toBeLessThanOrEqual(30);
  });

  it('is kept to the letter: texts that look like attacks are texts', async () => {
    const metadata = { constructor: 'x', toString: 'y', hasOwnProperty: 'z', toJSON: 'j', '1': 'b', '0': 'a' };
    const content = '"__proto__": {"a": 1}, \\u0000 \uffff \u2028 \u{10ffff}';
    const { status, body } = await ana.post(`/api/v1/chats/${chatId}/messages`, { content, metadata });
    expect([status, body.content, body.metadata]).toEqual([201, content, metadata]);
    expect((await ana.get(`/api/v1/chats/${chatId}/messages`)).body.data.at(-1)).toEqual(body);
  });

  it('may have a byte order mark before it, and line ends after it', async () => {
    expect((await post('\ufeff{"content":"x"}\r\n\n')).body.content).toBe('x');
  });

  it.each([
    ['PATCH', 'chats/{chat}', '{"title":"a\\u0000"}'],
    ['PATCH', 'chats/{chat}', '{"title":"a\\ud800"}'],
    ['POST', 'assistants/general/chats', '{"title":"a\\u0000"}'],
    ['POST', 'jobs/assistant-reply', '{"chat_id":"\\u0000"}'],
    ['PATCH', 'jobs/0199a0de-0000-7000-8000-000000000000', '{"status":"canceled\\u0000"}'],
    ['PATCH', 'jobs/0199a0de-0000-7000-8000-000000000000', '{"status":["canceled"]}'],
  ])('%s %s with %s is 422', async (method, path, raw) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await ana.request(method, `/api/v1/${path.replace('{chat}', chatId)}`, { raw, headers });
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  });

  it('two idempotency keys are the same only if all their bytes are', async () => {
    const send = (key: string): Promise<any> => post('{"content":"x"}', { 'idempotency-key': key });
    const first = await send('k');
    const marked = await send(Buffer.from('\ufeffk').toString('latin1'));
    expect(first.body.id).not.toBe(marked.body.id);
    expect((await send('k')).body.id).toBe(first.body.id);
  });
});
