import { describe, expect, it } from '@jest/globals';
import { QueryFailedError, QueryRunnerAlreadyReleasedError, QueryRunnerProviderAlreadyReleasedError } from 'typeorm';
import { isStoreAway } from './store-away.js';

const failed = (driver: object): Error => new QueryFailedError('SELECT 1', [], Object.assign(new Error('x'), driver));

describe('a database that is away is told from a fault of ours', () => {
  it.each([
    ['a session that was ended', failed({ code: '57P01' })],
    ['a server that starts', failed({ code: '57P03', severity: 'FATAL' })],
    // PostgreSQL translates the severity, too (lc_messages).
    ['a password that is refused, in Russian', failed({ code: '28P01', severity: 'ВАЖНО' })],
    ['a database that is gone, in Russian', failed({ code: '3D000', severity: 'ВАЖНО' })],
    ['a statement that took too long', failed({ code: '57014' })],
    ['a lock that was waited for in vain', failed({ code: '55P03' })],
    ['no connection', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })],
    ['no file left for a connection', Object.assign(new Error('connect'), { code: 'EMFILE' })],
    ['a connection that was cut', new Error('Connection terminated unexpectedly')],
    ['a transaction whose connection was cut between two statements', new QueryRunnerProviderAlreadyReleasedError()],
    ['the same, seen by its runner', new QueryRunnerAlreadyReleasedError()],
    ['either as the cause of something else', new Error('x', { cause: failed({ code: '08006' }) })],
  ])('%s is away', (_, error) => expect(isStoreAway(error)).toBe(true));

  it.each([
    ['a unique index', failed({ code: '23505', severity: 'ERROR' })],
    ['a missing table', failed({ code: '42P01', severity: 'ERROR' })],
    ['a fault in the code', new TypeError('x is not a function')],
    ['what is no error at all', 'ECONNREFUSED'],
  ])('%s is not', (_, error) => expect(isStoreAway(error)).toBe(false));
});
