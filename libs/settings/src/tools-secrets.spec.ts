import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { readToolsSecrets } from './tools-secrets.js';

const secretOf = (bytes: number): string => `whsec_${randomBytes(bytes).toString('base64')}`;

function read(value: string | undefined, production = false): { secrets: readonly string[]; faults: string[] } {
  const faults: string[] = [];
  const secrets = readToolsSecrets(production, (name) => (name === 'TOOLS_SECRET' ? value : undefined), faults);
  return { secrets, faults };
}

describe('TOOLS_SECRET', () => {
  it('may be missing, in production too', () => {
    expect(read(undefined, true)).toEqual({ secrets: [], faults: [] });
  });

  it.each([24, 25, 32, 64])('may hold %i bytes, and a library for Standard Webhooks takes them', (bytes) => {
    const secret = secretOf(bytes);
    expect(read(secret, true)).toEqual({ secrets: [secret], faults: [] });
    expect(() => new Webhook(secret)).not.toThrow();
  });

  it('may hold several secrets, with any white space between them', () => {
    const [one, two, three] = [secretOf(24), secretOf(32), secretOf(64)];
    expect(read(`${one}  ${two}\n${three}`).secrets).toEqual([one, two, three]);
  });

  it.each([
    ['too short', secretOf(23)],
    ['too long', secretOf(65)],
    ['without its prefix', randomBytes(32).toString('base64')],
    ['with another prefix', `whpk_${randomBytes(32).toString('base64')}`],
    ['without its padding', secretOf(32).replace('=', '')],
    ['in base64url', `whsec_${'-_'.repeat(20)}`],
    ['one good and one bad', `${secretOf(32)} whsec_`],
    ['with a comma between two', `${secretOf(32)},${secretOf(32)}`],
  ])('%s is refused, and not repeated', (_, value) => {
    const { faults } = read(value);
    expect(faults).toEqual([expect.stringMatching(/^TOOLS_SECRET must be whsec_ and 24 to 64 bytes of base64/)]);
    expect(faults.join()).not.toContain(value);
  });

  it('that can be guessed is refused in production only', () => {
    const secret = `whsec_${Buffer.alloc(32).toString('base64')}`;
    expect(read(secret).faults).toEqual([]);
    expect(read(secret, true).faults).toEqual([expect.stringMatching(/^TOOLS_SECRET can be guessed/)]);
  });
});
