import { describe, expect, it } from '@jest/globals';
import { QueryFailedError } from 'typeorm';
import { describeError, inBrief } from './described-error.js';

const failed = (driver: object, message: string): Error =>
  new QueryFailedError('SELECT $1', ['secret'], Object.assign(new Error(message), driver));

/** The error that V8 itself throws. */
const thrownBy = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe('an error as the log has it', () => {
  it.each([
    ['a parser', thrownBy(() => JSON.parse('{"user_message": secret'))],
    ['V8', thrownBy(() => ((text: any) => (text.x = 1))('secret'))],
    [
      'PostgreSQL, of a value',
      failed({ code: '22P02', detail: 'secret' }, 'invalid input syntax for type uuid: "secret"'),
    ],
    [
      'PostgreSQL, of a row',
      failed({ code: '23514', detail: 'Failing row contains (secret)' }, 'new row violates "secret"'),
    ],
    ['the text that it says is away', failed({ code: '22P02' }, 'invalid input: "secret, connection terminated"')],
    ['a fault as a cause', new Error('secret', { cause: new Error('secret') })],
    ['a name that is none', Object.assign(new Error('x'), { name: 'a secret', code: 'a secret', table: 'a secret' })],
    [
      'Redis, of a command',
      Object.assign(new Error("ERR unknown command 'AUTH', with args: 'secret'"), { name: 'ReplyError' }),
    ],
    ['frames that are none', new Error('a\n    at secret (file:1:1)\n    at secret (file:1:2)')],
    ['a message that was changed', Object.assign(new Error('secret\n    at secret (x:1:1)'), { message: 'other' })],
    ['what is no error', 'secret'],
    ['an object', { secret: 'secret' }],
  ])('%s does not quote what it is about', (_, error) => {
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
    expect(inBrief(error)).not.toContain('secret');
  });

  it.each([
    [
      'a system’s',
      Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED', syscall: 'connect' }),
    ],
    ['a connection’s', new Error('Connection terminated unexpectedly')],
    ['a server that stops', failed({ code: '57P01' }, 'terminating connection due to administrator command')],
    ['a right that is missing', failed({ code: '42501' }, 'permission denied for table jobs')],
    ['a right that Redis wants', Object.assign(new Error('NOPERM no rights to the channel'), { name: 'ReplyError' })],
  ])('%s words are told', (_, error) => expect(inBrief(error)).toBe(error.message));

  it('has its kind, its codes, where it came up, and the same of its cause', () => {
    const error = new Error('x', { cause: failed({ code: '23505', constraint: 'chats_pkey' }, 'duplicate key') });
    expect(describeError(error)).toMatchObject({
      type: 'Error',
      stack: expect.stringMatching(/^\s+at .*described-error\.spec\.[jt]s:\d+:\d+/),
      cause: { type: 'QueryFailedError', code: '23505', constraint: 'chats_pkey' },
    });
  });

  const ofModel = (fields: object, headers: Record<string, string> = {}): Error =>
    Object.assign(new Error('secret'), { status: 400, ...fields, headers: new Headers(headers) });
  it.each([
    [
      ofModel({ type: 'rate_limit_error', requestID: 'req_1' }),
      { kind: 'rate_limit_error', model_request_id: 'req_1' },
    ],
    [
      ofModel(
        { type: null, requestID: null },
        { 'x-amzn-errortype': 'ThrottlingException:http://x/', 'x-amzn-requestid': 'a-1' },
      ),
      { kind: 'ThrottlingException', model_request_id: 'a-1' },
    ],
    [ofModel({ type: 'modelStreamErrorException' }), { kind: 'modelStreamErrorException' }],
    [ofModel({ error: { error: { status: 'RESOURCE_EXHAUSTED' } } }), { kind: 'RESOURCE_EXHAUSTED' }],
    [ofModel({ error: [{ error: { status: 'UNAVAILABLE' } }] }), { kind: 'UNAVAILABLE' }],
  ])('has the kind that the model’s provider gave it: %#', (error, fields) => {
    expect(describeError(error)).toMatchObject({ type: 'Error', code: '400', ...fields });
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
  });

  it.each([
    ofModel({ type: 'secret words', error: 'secret', requestID: 'a secret' }),
    ofModel({ type: null, error: { error: { status: 'a secret' } } }, { 'x-amzn-errortype': 'a secret:' }),
    ofModel({ error: [null] }),
  ])('has no kind that could be anything: %#', (error) => {
    expect(describeError(error)).not.toHaveProperty('kind');
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
  });
});
