import { canBeGuessed } from './guessable.js';

const PREFIX = 'whsec_';

/** Fewest and most bytes of a key, as Standard Webhooks has them. */
const FEWEST_BYTES = 24;
const MOST_BYTES = 64;

/**
 * Reads `TOOLS_SECRET`: secrets with white space between them, so that a new one can take over from an old one. In production none may be
 * guessable. Faults are added to `faults`; they never repeat a value.
 */
export function readToolsSecrets(
  production: boolean,
  text: (name: string) => string | undefined,
  faults: string[],
): readonly string[] {
  const secrets = text('TOOLS_SECRET')?.split(/\s+/) ?? [];
  if (!secrets.every(isWellFormed)) {
    faults.push(
      `TOOLS_SECRET must be ${PREFIX} and ${FEWEST_BYTES} to ${MOST_BYTES} bytes of base64, or several of them with spaces between; ` +
        'make one with `echo "whsec_$(openssl rand -base64 32)"`.',
    );
  } else if (production && secrets.some((secret) => canBeGuessed(secret.slice(PREFIX.length)))) {
    faults.push('TOOLS_SECRET can be guessed; make one with `echo "whsec_$(openssl rand -base64 32)"`.');
  }
  return secrets;
}

/** The bytes with which a secret of `TOOLS_SECRET` signs. */
export function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(PREFIX.length), 'base64');
}

/** Base64 must be complete, with its padding: Node reads it without, but libraries that verify signatures refuse it. */
function isWellFormed(secret: string): boolean {
  const key = keyOf(secret);
  return (
    secret === `${PREFIX}${key.toString('base64')}` && key.byteLength >= FEWEST_BYTES && key.byteLength <= MOST_BYTES
  );
}
