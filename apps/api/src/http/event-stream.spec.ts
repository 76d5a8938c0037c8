import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { EventStream } from './event-stream.js';

const BEAT_MS = 10_000;

/** A response to a client that takes one write at a time, when the test asks it to. */
class Response extends EventEmitter {
  readonly written: Buffer[] = [];
  readonly statusCode = 200;
  readonly socket = new EventEmitter();
  readonly req = { socket: this.socket };
  writableNeedDrain = false;
  ended = false;
  destroyed = false;

  writeHead(): void {}
  flushHeaders(): void {}

  write(text: string): void {
    this.written.push(Buffer.from(text));
    this.writableNeedDrain = true;
  }

  take(): void {
    this.writableNeedDrain = false;
    this.emit('drain');
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }
}

describe('a stream', () => {
  let response: Response;
  let stream: EventStream;
  beforeEach(() => {
    jest.useFakeTimers();
    response = new Response();
    stream = new EventStream();
    stream.open({ raw: response, hijack: () => undefined, getHeaders: () => ({}) } as unknown as FastifyReply);
  });
  afterEach(() => {
    stream.destroy();
    jest.useRealTimers();
  });

  it('has data in each of its blocks: when to come back and beats have none of their own', () => {
    stream.beat();
    stream.send('job', '0.0', {});
    stream.beat();
    stream.beat();
    stream.send('job', 'end', {});
    stream.end();
    while (!response.ended) response.take();
    const [first, last, ...rest] = Buffer.concat(response.written).toString().split('\n\n');
    expect(first).toMatch(/^:\nretry: \d+\nevent: job\ndata: \{\}\nid: 0\.0$/);
    expect([last, ...rest]).toEqual([':\n:\nevent: job\ndata: {}\nid: end', '']);
  });

  it('hands a long event over in parts, and all of it', () => {
    const text = `x${'😀'.repeat(500_000)}`;
    stream.send('delta', '1.0', { offset: 0, text });
    stream.end();
    while (!response.ended) response.take();
    const whole = Buffer.concat(response.written).toString();
    expect(JSON.parse(/^data: (.*)$/m.exec(whole)?.[1] ?? '')).toEqual({ offset: 0, text });
    expect(Math.max(...response.written.map(({ length }) => length))).toBeLessThanOrEqual(200_000);
  });

  it('stays with a reader that takes a long event slowly', () => {
    stream.send('delta', '1.0', { offset: 0, text: 'x'.repeat(8_000_000) });
    for (let beats = 0; beats < 5; beats++) {
      for (let passed = 0; passed < BEAT_MS; passed += 2_000) {
        jest.advanceTimersByTime(2_000);
        response.take();
      }
      stream.beat();
    }
    expect([response.destroyed, stream.closed]).toEqual([false, false]);
  });

  it('leaves one that takes nothing of it', () => {
    stream.send('delta', '1.0', { offset: 0, text: 'x'.repeat(8_000_000) });
    jest.advanceTimersByTime(BEAT_MS);
    stream.beat();
    expect([response.destroyed, stream.closed]).toEqual([true, true]);
  });

  it('is not kept for a reader who has stopped while very much waits for all readers together', () => {
    const opened = (): EventStream => {
      const one = new EventStream();
      one.open({ raw: new Response(), hijack: () => undefined, getHeaders: () => ({}) } as unknown as FastifyReply);
      // Little enough that the limit on a single stream is not reached.
      one.send('delta', '1.0', { text: 'x'.repeat(900_000) });
      return one;
    };
    const beat = (streams: EventStream[]): number => {
      jest.advanceTimersByTime(BEAT_MS);
      streams.forEach((one) => one.beat());
      return streams.filter(({ closed }) => !closed).length;
    };
    const streams = Array.from({ length: 30 }, opened);
    expect(beat(streams)).toBe(30);
    streams.push(...Array.from({ length: 20 }, opened));
    // The text of the closed streams no longer counts, so the other streams may stay.
    expect(beat(streams)).toBeGreaterThan(35);
    expect(beat(streams)).toBeLessThan(42);
    streams.forEach((one) => one.destroy());
    expect(beat(Array.from({ length: 30 }, opened))).toBe(30);
  });
});
