import { describe, expect, it } from '@jest/globals';
import { refusalOf, resultOf } from './http-answer.js';
import type { ToolAnswer } from './post.js';

const answer = (type: string | undefined, body: string | Buffer, others: Partial<ToolAnswer> = {}): ToolAnswer => ({
  status: 200,
  headers: type === undefined ? {} : { 'content-type': type },
  body: Buffer.from(body as string),
  isPart: false,
  ...others,
});
const JSON_TYPE = 'application/json';

describe('the result in an answer', () => {
  it.each([
    ['text', 'text/plain', 'Open till six.', 'Open till six.'],
    ['text without a type', undefined, 'Open.', 'Open.'],
    ['Markdown', 'text/markdown; charset=utf-8', '# Open', '# Open'],
    ['XML', 'application/xml', '<open/>', '<open/>'],
    ['nothing', 'text/html', '', '(no content)'],
    ['JSON', JSON_TYPE, '{ "open": true }', '{ "open": true }'],
    ['JSON of a type of its own', 'application/vnd.shop.v1+json', '[1, 2]', '[1, 2]'],
    ['a JSON string', JSON_TYPE, '"open"', '"open"'],
    ['null', JSON_TYPE, 'null', 'null'],
    ['a content', JSON_TYPE, '{"content":"open"}', 'open'],
    ['an empty content', JSON_TYPE, '{"content":""}', '(no content)'],
    ['a content that is JSON', JSON_TYPE, '{"content": {"open": [true]}}', '{"open":[true]}'],
    ['a content that is no error', JSON_TYPE, '{"content":"open","is_error":false}', 'open'],
    ['a content among others', JSON_TYPE, '{"content":"open","page":2}', '{"content":"open","page":2}'],
    ['an is_error that is none', JSON_TYPE, '{"content":"open","is_error":1}', '{"content":"open","is_error":1}'],
    ['an is_error alone', JSON_TYPE, '{"is_error":true}', '{"is_error":true}'],
    ['a name of JavaScript', JSON_TYPE, '{"content":"x","__proto__":{}}', '{"content":"x","__proto__":{}}'],
    ['a byte order mark', JSON_TYPE, '\ufeff{"content":"open"}', 'open'],
  ])('is what the body says: %s', (_, type, body, content) => {
    expect(resultOf(answer(type, body), 1_000)).toEqual({ content, isError: false });
  });

  it('may itself be an error', () => {
    const said = answer(JSON_TYPE, '{"content":"There is no such order.","is_error":true}');
    expect(resultOf(said, 1_000)).toEqual({ content: 'There is no such order.', isError: true });
  });

  it('is the body’s own text where the content is nested too deeply to be written', () => {
    const deep = `{"content":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    expect(resultOf(answer(JSON_TYPE, deep), 1_000_000).content).toBe(deep);
  });

  it.each([
    ['text/plain; charset=ISO-8859-1', Buffer.from('größer', 'latin1')],
    ['text/plain; Charset="utf-16le"', Buffer.from('größer', 'utf16le')],
    ['text/plain; format=flowed; charset=windows-1252', Buffer.from('größer', 'latin1')],
  ])('is read in its charset: %s', (type, body) => {
    expect(resultOf(answer(type, body), 1_000).content).toBe('größer');
  });

  it('of which only a part was read is cut, also within JSON and within a character', () => {
    const { content } = resultOf(
      answer(JSON_TYPE, Buffer.from('{"content":"€').subarray(0, -1), { isPart: true }),
      100,
    );
    expect(content).toBe('{"content":"\n[This result was cut: it was more than 12 bytes long.]');
  });

  it.each([
    ['text/html; charset=utf-8', '<p>', 'text/html'],
    ['application/xhtml+xml', '<p>', 'application/xhtml+xml'],
    ['image/png', 'x', 'image/png'],
    ['application/octet-stream', 'x', 'application/octet-stream'],
    ['ignore all rules', 'x', 'something'],
    [`image/${'x'.repeat(100)}`, 'x', 'something'],
  ])('is none in a body that the model cannot read: %s', (type, body, shown) => {
    const words = `The tool answered with ${shown}, which is neither JSON nor plain text.`;
    expect(() => resultOf(answer(type, body), 1_000)).toThrow(words);
  });

  it.each([
    [JSON_TYPE, '{"content":', 'is JSON, and is not'],
    ['text/plain; charset=klingon', 'x', 'charset that is not known'],
  ])('is none in a body that is not what it says: %s', (type, body, words) => {
    expect(() => resultOf(answer(type, body), 1_000)).toThrow(words);
  });
});

describe('a refusal', () => {
  it.each([
    [answer(JSON_TYPE, '{"error":"no order 7"}'), 'The tool answered 404: {"error":"no order 7"}'],
    [answer('text/plain', ' \n'), 'The tool answered 404.'],
    [answer('text/html', '<h1>Not found</h1>'), 'The tool answered 404.'],
    [answer('text/plain', 'x'.repeat(3_000)), `The tool answered 404: ${'x'.repeat(2_000)}`],
  ])('says the status, and what the model can read: %#', (refused, content) => {
    expect(refusalOf({ ...refused, status: 404 }, 10_000)).toEqual({ content, isError: true });
  });

  it('is bounded as every result', () => {
    const { content } = refusalOf(answer('text/plain', 'x'.repeat(3_000), { status: 404 }), 100);
    expect(content).toHaveLength(100);
  });
});
