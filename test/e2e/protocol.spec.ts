import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contract } from '../support/client.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { exchange, type WireAnswer, type WireExchange } from '../support/wire.js';

const BODY = '{"content":"x"}';
const CHUNKED = `Transfer-Encoding: chunked\r\n\r\nf\r\n${BODY}\r\n0\r\n\r\n`;
const LARGE = 5_000_000;
const ALL = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'OPTIONS', 'PROPFIND', 'QUERY'];

describe('on the wire', () => {
  let stack: Stack;
  let chatId: string;
  let head: string;
  /** The last request: its answer is recognizable, and it ends the connection. */
  const LAST = 'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  let smuggled: string;

  beforeAll(async () => {
    stack = await borrowStack();
    chatId = (await stack.as('ana').chat()).id;
    head = `Host: x\r\nAuthorization: Bearer ${tokenFor('ana')}\r\nContent-Type: application/json\r\n`;
    smuggled = message('{"content":"smuggled"}');
  });
  afterAll(() => stack.stop());

  const message = (body: string, headers = ''): string =>
    `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const send = (bytes: string | Buffer, count?: number): Promise<WireExchange> => exchange(stack.api.url, bytes, count);
  const statuses = ({ answers }: WireExchange): number[] => answers.map(({ status }) => status);
  const stored = async (content: string): Promise<number> => {
    const query = 'SELECT count(*)::int AS n FROM messages WHERE content = $1';
    return (await stack.database.query(query, [content])).rows[0].n as number;
  };
  const expectError = (answer: WireAnswer | undefined, status: number, code: string): void => {
    const body = JSON.parse(answer?.text ?? 'null') as Record<string, unknown>;
    expect([answer?.status, body['code']]).toEqual([status, code]);
    expect(contract.schemaFaults('/components/schemas/ErrorBody', body, '')).toEqual([]);
    expect(answer?.headers.get('x-request-id')).toBe(body['request_id']);
    expect(answer?.headers.get('cache-control')).toBe('no-store');
    // RFC 9110, section 6.6.1.
    expect(answer?.headers.get('date')).toMatch(/ GMT$/);
  };

  describe('an ambiguous request is 400, ends the connection, and nothing after it takes effect:', () => {
    const post = (headers: string, rest: string): (() => string) => {
      return () => `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}${headers}${rest}`;
    };
    const plain = `Content-Length: 15\r\n\r\n${BODY}`;
    const coded = (coding: string): (() => string) => post(`Transfer-Encoding: ${coding}\r\n`, CHUNKED.slice(28));
    const long = (length: string): (() => string) => post('', `Content-Length: ${length}\r\n\r\n${BODY}`);
    const chunk = (chunks: string): (() => string) => post('Transfer-Encoding: chunked\r\n', `\r\n${chunks}`);

    it.each([
      // RFC 9112, section 3.2: exactly one valid Host.
      ['two hosts', post('Host: y\r\n', plain)],
      ['the same host twice', post('Host: x\r\n', plain)],
      ['a host with a path', () => post('', plain)().replace('Host: x', 'Host: x/y')],
      ['a host with a user', () => post('', plain)().replace('Host: x', 'Host: a@x')],
      ['a host of other letters', () => post('', plain)().replace('Host: x', 'Host: \xe4')],
      // RFC 9110, section 5.3: a header that is no list may come once.
      ['two tokens', post('Authorization: Bearer y\r\n', plain)],
      ['two types', post('Content-Type: text/plain\r\n', plain)],
      // RFC 9112, section 6.1.
      ['a length and a coding', post('Content-Length: 15\r\n', CHUNKED)],
      ['a coding and a length', post('Transfer-Encoding: chunked\r\n', plain)],
      ['a coding within another', coded('gzip, chunked')],
      ['an unknown coding', coded('identity, chunked')],
      ['a coding in two lines', post('Transfer-Encoding: identity\r\n', CHUNKED)],
      ['an empty coding', coded('')],
      ['an almost right coding', coded('xchunked')],
      ['a coding in quotes', coded('"chunked"')],
      ['a coding with a parameter', coded('chunked;q=1')],
      ['chunks twice', coded('chunked, chunked')],
      ['chunked as not the last coding', coded('chunked, identity')],
      ['chunks of HTTP/1.0', () => post('', CHUNKED)().replace('HTTP/1.1', 'HTTP/1.0')],
      // Sections 5.1, 5.2, 2.2.
      ['a space before a colon', post('Transfer-Encoding : chunked\r\n', plain)],
      ['a folded line', post('X: a\r\n b\r\n', plain)],
      ['a line that ends with LF', post('X: a\nTransfer-Encoding: chunked\r\n', plain)],
      ['a CR within a line', post('X: a\rTransfer-Encoding: chunked\r\n', plain)],
      ['a NUL in a header', post('X: a\0b\r\n', plain)],
      ['a header without a name', post(': a\r\n', plain)],
      ['two lengths', post('Content-Length: 15\r\n', plain)],
      // Section 6.2.
      ...['+15', '-15', '0x0f', '1 5', '15,15', '', '15.0', '99999999999999999999999'].map(
        (length) => [`a length of "${length}"`, long(length)] as const,
      ),
      // Section 7.1.
      ...['fffffffffffffffff', '0xf', '-f', 'f ', ''].map(
        (size) => [`a chunk of "${size}"`, chunk(`${size}\r\n${BODY}\r\n0\r\n\r\n`)] as const,
      ),
      ['a chunk that is longer than it says', chunk(`f\r\n${BODY}XX\r\n0\r\n\r\n`)],
      ['a chunk that ends with LF', chunk(`f\n${BODY}\n0\n\n`)],
      ['a trailer that is no header', chunk(`f\r\n${BODY}\r\n0\r\nx y\r\n\r\n`)],
      ['a trailer with a length', chunk(`f\r\n${BODY}\r\n0\r\nContent-Length: 5\r\n\r\n`)],
      // Sections 2.3 and 3.
      ['HTTP/0.9', () => 'GET /health/live\r\n\r\n'],
      ['HTTP/2 in text', () => 'GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n'],
      ['the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['an invalid version', () => 'GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n'],
      ['an unknown method', () => 'BREW /health/live HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a space in the address', () => 'GET /health/li ve HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a tunnel', () => 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'],
    ])('%s', async (_, bytes) => {
      const { answers, ended } = await send(bytes() + smuggled);
      expectError(answers[0], 400, 'malformed_request');
      expect([answers.length, ended]).toEqual([1, true]);
      expect(answers[0]?.headers.get('connection')).toBe('close');
    });

    afterAll(async () => expect([await stored('smuggled'), await stored('x')]).toEqual([0, 0]));
  });

  describe('an unambiguous request is read:', () => {
    const get = (headers: string, target = '/health/live'): string =>
      `GET ${target} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`;

    it.each([
      ...['', 'x:', 'x:80', 'a_b.example:3000', '[::1]:3000'].map(
        (host) => [`the host "${host}"`, () => get(`Host: ${host}\r\n`)] as const,
      ),
      // RFC 9112, section 3.2.2.
      ['an address in absolute form', () => get('Host: x\r\n', 'http://other.example/health/live')],
      ['one whose scheme is in capitals', () => get('Host: x\r\n', 'HTTP://OTHER/health/live?x')],
      ['an address with needless escapes', () => get('Host: x\r\n', '/health/%6cive')],
      ['empty lines in front', () => `\r\n\r\n${get('Host: x\r\n')}`],
      ['HTTP/1.0 without a host', () => 'GET /health/live HTTP/1.0\r\n\r\n'],
      ['an upgrade that is not offered', () => get('Host: x\r\nUpgrade: h2c\r\n').replace('close', 'close, Upgrade')],
    ])('%s', async (_, bytes) => {
      const { answers } = await send(bytes());
      expect(answers.map(({ text }) => text)).toEqual(['{"status":"ok"}']);
    });

    it.each([
      ['chunks with extensions', () => `Transfer-Encoding: chunked\r\n\r\nf;a=b;c="d e"\r\n${BODY}\r\n0\r\n\r\n`],
      ['chunks in capitals', () => CHUNKED.replace('chunked', 'CHUNKED')],
      ['a trailer', () => `${CHUNKED.slice(0, -2)}X-T: y\r\n\r\n`],
    ])('%s', async (_, rest) => {
      const post = `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}${rest()}`;
      expect(statuses(await send(post + LAST))).toEqual([201, 200]);
    });
  });

  it.each([
    ['a fragment', 'GET /api/v1/chats#x', 400],
    ['a fragment after a query', 'GET /api/v1/chats?limit=1#x', 400],
    ['invalid UTF-8 in a path', 'GET /api/v1/chats/%ff', 400],
    ['an overlong slash', 'GET /api/v1/chats/..%c0%af', 400],
    ['half a surrogate pair', 'GET /api/v1/chats/%ed%a0%80', 400],
    ['invalid UTF-8 in a query', 'GET /api/v1/chats?assistant=%ff', 400],
    ['an invalid escape in a query', 'GET /api/v1/chats?assistant=%zz', 400],
    ['an invalid escape at an unknown address', 'GET /nothing?%zz', 400],
    ['dot segments', 'GET /api/v1/../v1/chats', 404],
    ['escaped dot segments', 'GET /docs/%2e%2e/package.json', 404],
    ['an escaped slash', 'GET /docs/..%2f..%2fpackage.json', 404],
    ['a backslash', 'GET /docs/..%5cpackage.json', 404],
    ['two slashes', 'GET /api//v1/chats', 404],
    ['an address escaped twice', 'GET /api/v1/%2563hats', 404],
    ['capitals', 'GET /API/V1/CHATS', 404],
    ['parameters of a path', 'GET /api/v1/chats;x=1', 404],
    ['line ends in an address', 'GET /api/v1/chats%0d%0aX-Evil:%201', 404],
    ['a path of 15,000 characters', `GET /api/v1/chats/${'a'.repeat(15_000)}`, 404],
    ['15,000 slashes', `GET ${'/'.repeat(15_000)}`, 404],
    ['the server as a whole', 'OPTIONS *', 404],
    ['another scheme', 'GET ftp://x/api/v1/chats', 404],
    ['lists in a query', 'GET /api/v1/chats?limit[]=1', 422],
    ['objects in a query', 'GET /api/v1/chats?limit[a]=1', 422],
    ['a plus, which is a space', 'GET /api/v1/chats?limit=+1', 422],
    ['a name that is empty', 'GET /api/v1/chats?=1', 422],
    ['a name without a value', 'GET /api/v1/chats?limit', 422],
    ['a semicolon, which separates nothing', 'GET /api/v1/chats?limit=1;limit=2', 422],
    ['NUL in a query', 'GET /api/v1/chats?before=%00', 422],
    ['a field two thousand times', `GET /api/v1/chats?${'limit=1&'.repeat(1_900)}`, 422],
    [
      'three thousand fields',
      `GET /api/v1/chats?${Array.from({ length: 3_000 }, (_, n) => n.toString(36)).join('&')}`,
      422,
    ],
    ['digits of another script', 'GET /api/v1/chats?limit=%D9%A1', 422],
  ])('an address with %s is answered, in the error shape, and so is the next one', async (_, line, status) => {
    const exchanged = await send(`${line} HTTP/1.1\r\n${head}\r\n${LAST}`);
    expect(statuses(exchanged)).toEqual([status, 200]);
    const codes: Record<number, string> = { 400: 'malformed_request', 404: 'not_found', 422: 'validation_failed' };
    expectError(exchanged.answers[0], status, codes[status] ?? '');
  });

  it('in every spelling of an address, an unacceptable type is 406, and an unknown method 405', async () => {
    for (const target of ['/api/v1/chats', '/%61pi/v1/%63hats', 'http://other.example/api/v1/chats?limit=1']) {
      const get = await send(`GET ${target} HTTP/1.1\r\n${head}Accept: text/html\r\n\r\n`, 1);
      expectError(get.answers[0], 406, 'not_acceptable');
      const put = await send(`PUT ${target} HTTP/1.1\r\n${head}\r\n`, 1);
      expectError(put.answers[0], 405, 'method_not_allowed');
      expect(put.answers[0]?.headers.get('allow')).toBe('GET, HEAD');
    }
  });

  it('every path answers another method with the ones that it knows', async () => {
    const paths = new Map<string, string[]>();
    for (const { path, method } of contract.operations) paths.set(path, [...(paths.get(path) ?? []), method]);
    for (const [path, methods] of paths) {
      const target = path
        .replace('{slug}', 'support')
        .replace('{chat_id}', chatId)
        .replace(/\{\w+\}/, '0199a0de-0000-7000-8000-000000000000');
      const others = ALL.filter((method) => !methods.includes(method));
      const requests = others.map((method) => `${method} ${target} HTTP/1.1\r\n${head}\r\n`);
      const { answers } = await send(requests.join(''), others.length);
      expect(answers.length).toBe(others.length);
      const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
      for (const answer of answers) {
        // Operators' paths do not even say that.
        if (path.startsWith('/api/v1/admin/')) expectError(answer, 404, 'not_found');
        else {
          expectError(answer, 405, 'method_not_allowed');
          expect([path, answer.headers.get('allow')]).toEqual([path, [...allowed].sort().join(', ')]);
        }
      }
    }
  });

  describe('of requests sent without waiting', () => {
    const turn = (text: string): string => message(`{"user_message":"${text}"}`).replace('/messages', '/turns');

    it('each is answered, in order, even if bytes follow that are no request', async () => {
      const chats = `GET /api/v1/chats HTTP/1.1\r\n${head}\r\n`;
      const { answers, ended } = await send(`${turn('first')}${chats}HELLO\r\n\r\n${chats}`);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 400]);
      expect(JSON.parse(answers[0]?.text ?? '').user_message.content).toBe('first');
      expectError(answers[2], 400, 'malformed_request');
      expect(ended).toBe(true);
    });

    it('the same with headers too large, and with a body that breaks', async () => {
      const large = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
      const { answers } = await send(turn('second') + large);
      expect(answers[0]?.status).toBe(200);
      expectError(answers[1], 431, 'header_fields_too_large');
      const broken = `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}X-Request-Id: mine\r\n${CHUNKED}`;
      const second = await send(turn('third') + broken.replace(`\r\n0\r\n`, '\r\nZZ\r\n'));
      expect(second.answers[0]?.status).toBe(200);
      expectError(second.answers[1], 400, 'malformed_request');
      expect(second.answers[1]?.headers.get('x-request-id')).toBe('mine');
    });

    it('changes take effect one after the other', async () => {
      const texts = Array.from({ length: 20 }, (_, n) => `in order ${n}`);
      const { answers } = await send(texts.map((text) => message(`{"content":"${text}"}`)).join(''), 20);
      const answered = answers.map(({ text }) => JSON.parse(text) as { seq: number; content: string });
      expect(answered.map(({ content }) => content)).toEqual(texts);
      expect(answered.map(({ seq }) => seq)).toEqual(texts.map((_, n) => (answered[0]?.seq ?? 0) + n));
    });

    it('none takes effect after the one that was announced as the last', async () => {
      const last = message('{"content":"last"}', 'Connection: close\r\n');
      const exchanged = await send(last + message('{"content":"behind the last"}'));
      expect([statuses(exchanged), exchanged.ended]).toEqual([[201], true]);
      expect([await stored('last'), await stored('behind the last')]).toEqual([1, 0]);
    });

    it('one after an unreadable body is answered as if it came alone', async () => {
      const exchanged = await send(message('{"content":') + message('{"content":"behind a 400"}') + LAST);
      expect(statuses(exchanged)).toEqual([400, 201, 200]);
    });
  });

  describe('a body that is too large gets its 413 while it is still sent', () => {
    const post = (headers: string): string => `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}${headers}\r\n`;
    const chunks = `${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(LARGE / 65_536)}0\r\n\r\n`;
    const whole = 'x'.repeat(LARGE);

    it.each([
      ['with its length', () => post(`Content-Length: ${LARGE}\r\n`) + whole],
      ['in chunks', () => post('Transfer-Encoding: chunked\r\n') + chunks],
    ])('%s, and the next request is answered', async (_, bytes) => {
      const exchanged = await send(bytes() + LAST);
      expectError(exchanged.answers[0], 413, 'payload_too_large');
      expect(statuses(exchanged)).toEqual([413, 200]);
    });

    it.each([
      ['with its length', () => post(`Connection: close\r\nContent-Length: ${LARGE}\r\n`) + whole],
      ['in chunks', () => post('Connection: close\r\nTransfer-Encoding: chunked\r\n') + chunks],
      ['by HTTP/1.0', () => post(`Content-Length: ${LARGE}\r\n`).replace('1.1', '1.0') + whole],
      ['unasked', () => post(`Expect: 100-continue\r\nContent-Length: ${LARGE}\r\n`) + whole],
    ])('%s, from a client that then leaves', async (_, bytes) => {
      const { answers, ended } = await send(bytes());
      expectError(answers[0], 413, 'payload_too_large');
      expect([answers.length, ended]).toEqual([1, true]);
    });

    it('and so does one with too large headers', async () => {
      const { answers } = await send(post(`X: ${'x'.repeat(20_000)}\r\nContent-Length: ${LARGE}\r\n`) + whole);
      expectError(answers[0], 431, 'header_fields_too_large');
    });
  });

  it('a client that sends `Expect: 100-continue` is asked for its body only if the request is acceptable', async () => {
    const ask = (headers: string): string =>
      `POST /api/v1/chats/${chatId}/messages HTTP/1.1\r\n${head}Expect: 100-continue\r\n${headers}\r\n`;
    expect(statuses(await send(ask('Content-Length: 15\r\n') + BODY, 2))).toEqual([100, 201]);
    for (const [headers, status] of [
      [`Content-Length: ${LARGE}\r\n`, 413],
      ['Content-Length: 15\r\nContent-Encoding: gzip\r\n', 415],
      ['Content-Length: 15\r\nAccept: text/html\r\n', 406],
    ] as const) {
      const { answers, ended } = await send(ask(headers));
      expect([answers.map((answer) => answer.status), ended]).toEqual([[status], true]);
    }
    const nowhere = await send(ask('Content-Length: 15\r\n').replace('/api/', '/nothing/'));
    expect(statuses(nowhere)).toEqual([404]);
  });

  it('no header is ignored because there are many', async () => {
    const many = `${'a:\r\n'.repeat(2_500)}If-Match: "not this"\r\n`;
    const patch = message('{"title":"T"}', many).replace('POST', 'PATCH').replace('/messages', '');
    const { answers } = await send(patch, 1);
    expectError(answers[0], 412, 'precondition_failed');
  });

  it.each(['a\x01b', 'a\x7fb', 'a\rb', 'a\r\n b'])('a request id like %j is not sent back', async (id) => {
    const { answers } = await send(`GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`, 1);
    expectError(answers[0], 400, 'malformed_request');
  });

  it.each(['a b', 'a\xff', 'a, b', '<script>', 'x'.repeat(129)])('a request id like %j is replaced', async (id) => {
    const { answers } = await send(`GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`, 1);
    expect(answers[0]?.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each(['%s x', '%s, Bearer x', 'x %s', '\t%s'])('a token sent as "Bearer %s" is invalid', async (form) => {
    const authorization = `Authorization: Bearer ${form.replace('%s', tokenFor('ana'))}\r\n`;
    const { answers } = await send(`GET /api/v1/chats HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`, 1);
    expectError(answers[0], 401, 'unauthorized');
  });
});
