import { describe, expect, it } from '@jest/globals';
import { type JobErrorCode, type Remedy, remedyFor } from '@rejoinder/client';
import { readContract } from '../support/contract-file.js';

/** The words of the contract's table for each of the client's remedies. */
const IN_WORDS: Readonly<Record<string, Remedy>> = {
  'try later': 'try_later',
  // The same message again helps in both cases; here, nothing has to pass before it.
  'send the message again, and decide': 'try_later',
  'the operator': 'operator',
  'another message': 'another_message',
  'a shorter message': 'shorten',
};

describe('the remedies of the client', () => {
  const { components } = readContract() as {
    components: { schemas: { JobErrorCode: { enum: JobErrorCode[]; description: string } } };
  };
  const codes = components.schemas.JobErrorCode;

  it('are those of the contract’s table, which has all codes in the same order', () => {
    const rows = [...codes.description.matchAll(/^\| `(\w+)` \|.*\| ([^|]+) \|$/gm)];
    const table = rows.map(([, code, words]) => [code, IN_WORDS[words ?? '']]);
    expect(table).toEqual(codes.enum.map((code) => [code, remedyFor(code)]));
  });

  it('are `try_later` for a code of a newer service', () => {
    expect(remedyFor('of_tomorrow' as JobErrorCode)).toBe('try_later');
  });
});
