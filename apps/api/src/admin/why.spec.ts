import { describe, expect, it } from '@jest/globals';
import type { JobRow } from '#database/columns.js';
import { why } from './why.js';

const NOW = new Date('2026-11-24T08:15:00Z');
const at = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1_000);

const explained = (row: Partial<JobRow>, paused = false) => {
  const job = {
    attempts: 0,
    attemptsLeft: 5,
    createdAt: at(-10),
    requeuedAt: null,
    availableAt: at(-10),
    leaseUntil: null,
    waitedSeconds: 0,
    actionSince: null,
    actionExpiresAt: null,
  };
  return why({ ...job, ...row } as JobRow, { now: NOW, paused });
};

describe('why a job is where it is', () => {
  it.each<[string, Partial<JobRow>, boolean, string, RegExp]>([
    ['due', { status: 'queued' }, false, 'waiting_for_worker', /due and waits/],
    [
      'not due yet',
      { status: 'queued', attempts: 2, availableAt: at(3.2) },
      false,
      'waiting_for_moment',
      /After 2, .* in 4 s\./,
    ],
    ['due while dispatch is paused', { status: 'queued' }, true, 'dispatch_paused', /paused/],
    ['queued for more than an hour', { status: 'queued', createdAt: at(-3_601) }, true, 'out_of_time', /hour is over/],
    [
      'put back after more than an hour',
      { status: 'queued', createdAt: at(-9_999), requeuedAt: at(-1) },
      false,
      'waiting_for_worker',
      /due/,
    ],
    ['under way', { status: 'running', attempts: 1, leaseUntil: at(8) }, true, 'running', /Attempt 1 is under way/],
    [
      'without its worker',
      { status: 'running', attempts: 2, leaseUntil: at(-4) },
      false,
      'lease_ran_out',
      /attempt 2 ran out 4 s ago.*another worker/,
    ],
    [
      'the same while paused',
      { status: 'running', attempts: 2, leaseUntil: at(-4) },
      true,
      'dispatch_paused',
      /no other/,
    ],
    [
      'the same, the last one',
      { status: 'running', attempts: 5, attemptsLeft: 0, leaseUntil: at(-4) },
      true,
      'out_of_time',
      /no other may follow/,
    ],
    [
      'failed',
      { status: 'failed', attempts: 5, errorCode: 'model_unavailable', errorMessage: 'It is away.' },
      true,
      'failed',
      /^It failed after 5 attempts \(model_unavailable\): It is away\.$/,
    ],
    [
      'expired before any attempt',
      { status: 'failed', errorCode: 'expired', errorMessage: 'Late.' },
      false,
      'failed',
      /after 0 attempts/,
    ],
    ['done', { status: 'succeeded', attempts: 1 }, false, 'succeeded', /after 1 attempt\.$/],
    [
      'waiting for a person',
      { status: 'requires_action', actionSince: at(-60), actionExpiresAt: at(30) },
      true,
      'waiting_for_person',
      /decide a tool call, .* since 2026-11-24T08:14:00.000Z. It fails in 30 s\.$/,
    ],
    [
      'queued again after a long wait for a person',
      { status: 'queued', createdAt: at(-9_999), waitedSeconds: 9_000 },
      false,
      'waiting_for_worker',
      /due/,
    ],
    ['canceled', { status: 'canceled' }, false, 'canceled', /canceled/],
  ])('%s', (_, row, paused, code, message) => {
    expect(explained(row, paused)).toEqual({ code, message: expect.stringMatching(message) });
  });
});
