import { describe, expect, it } from '@jest/globals';
import { Counter } from './counter.js';
import type { Tap } from './relay.js';

const message = (type: string, body: string): Buffer => {
  const bytes = Buffer.from(body);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length + 4);
  return Buffer.concat([Buffer.from(type), length, bytes]);
};
/** The start-up message: version 3.0, and the session's parameters. */
const start = (session: string): Buffer => message('', `\0\x03\0\0user\0u\0application_name\0${session}\0\0`);
const sync = message('S', '');
const ready = message('Z', 'I');
const query = (text: string): Buffer => message('Q', `${text}\0`);
const parse = (name: string, text: string): Buffer => message('P', `${name}\0${text}\0\0\0`);
const bind = (name: string): Buffer => message('B', `\0${name}\0\0\0\0\0`);
const command = (...words: string[]): Buffer =>
  Buffer.from(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);

function connected(session: string): { counter: Counter; tap: Tap; ask: (...sent: Buffer[]) => void } {
  const counter = new Counter();
  const tap = counter.postgres('api');
  tap.sent(start(session));
  tap.came(ready);
  return { counter, tap, ask: (...sent) => (tap.sent(Buffer.concat(sent)), tap.came(ready)) };
}

const noted = (counter: Counter) => counter.take().map(({ purpose, label, count }) => `${count} ${purpose} ${label}`);

describe('counting', () => {
  it('counts a prepared statement each time it is bound, and does not count the log-in', () => {
    const { counter, ask } = connected('rejoinder-api');
    ask(parse('r1', 'UPDATE  chats SET title = $1'), bind('r1'), sync);
    ask(bind('r1'), sync);
    expect(noted(counter)).toEqual(['2 sql UPDATE chats']);
  });

  it('reads bytes in pieces, wherever they are cut', () => {
    const counter = new Counter();
    const tap = counter.postgres('api');
    const sent = Buffer.concat([start('rejoinder-queue-producer'), query('SELECT add()'), query('SELECT add()')]);
    for (const byte of sent) tap.sent(Buffer.of(byte));
    for (const byte of Buffer.concat([ready, ready])) tap.came(Buffer.of(byte));
    expect(noted(counter)).toEqual(['2 queue SELECT add()']);

    const redis = counter.redis('worker');
    for (const byte of Buffer.concat([command('GET', 'ü\r\n'), command('PUBLISH', 'a', 'b')]))
      redis.sent(Buffer.of(byte));
    expect(noted(counter)).toEqual(['1 queue GET', '1 feed PUBLISH']);
  });

  it('counts neither statements by the clock nor the transaction around them', () => {
    const { counter, ask } = connected('rejoinder-worker');
    for (const text of ['START TRANSACTION', 'SELECT id, user_id FROM receipts', 'COMMIT', 'SELECT pg_notify($1, $2)'])
      ask(query(text));
    expect(noted(counter)).toEqual([]);
    for (const text of ['START TRANSACTION', 'DELETE FROM jobs', 'COMMIT']) ask(query(text));
    expect(noted(counter)).toEqual(['1 sql START TRANSACTION', '1 sql DELETE FROM jobs', '1 sql COMMIT']);
  });

  it('counts a hold that a turn ends, and not those that the clock does', () => {
    const { counter, ask } = connected('rejoinder-worker');
    ask(query('DELETE FROM model_holds WHERE NOT (until > now())'));
    expect(noted(counter)).toEqual([]);
    ask(query('DELETE FROM model_holds WHERE scope = $1'));
    expect(noted(counter)).toEqual(['1 sql DELETE FROM model_holds']);
  });

  it('tells commands that go together from commands that wait for an answer', () => {
    const counter = new Counter();
    const redis = counter.redis('api');
    redis.sent(Buffer.concat([command('SET', 'a', '1'), command('SET', 'b', '1'), command('PING')]));
    redis.came(Buffer.from('+OK\r\n'));
    redis.sent(command('SET', 'c', '1'));
    expect(counter.take()).toEqual([expect.objectContaining({ label: 'SET', count: 3, batches: 2 })]);
  });
});
