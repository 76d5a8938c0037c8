import { describe, expect, it } from '@jest/globals';
import { type JobErrorCode, type Remedy, remedyFor } from '@rejoinder/client';
import { readContract } from '../support/contract-file.js';

/** How the contract's table says what the client says in a word. */
const IN_WORDS: Readonly<Record<string, Remedy>> = {
  'try later': 'try_later',
  'the operator': 'operator',
  'another message': 'another_message',
  'a shorter message': 'shorten',
};

describe('the remedies of the client', () => {
  const { components } = readContract() as {
    components: { schemas: { JobErrorCode: { enum: JobErrorCode[]; description: string } } };
  };
  const codes = components.schemas.JobErrorCode;

  it('are those of the contract’s table, which has all codes, in their order', () => {
    const rows = [...codes.description.matchAll(/^\| `(\w+)` \|.*\| ([^|]+) \|$/gm)];
    const table = rows.map(([, code, words]) => [code, IN_WORDS[words ?? '']]);
    expect(table).toEqual(codes.enum.map((code) => [code, remedyFor(code)]));
  });

  it('are to try later for a code of a service that is newer', () => {
    expect(remedyFor('of_tomorrow' as JobErrorCode)).toBe('try_later');
  });
});
