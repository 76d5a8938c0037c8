import { createHmac, randomBytes } from 'node:crypto';
import type { SentBlock } from './turns.js';

const KEY = 'the calls of the stand-in model';
const OURS = /^toolu_([0-9a-f]{12})([0-9a-f]{4})([0-9a-f]{8})$/u;

/**
 * A new id of a call, in the API's form. It vouches for the thoughts before the call in its message, so that the stand-in notices when they
 * are left out, and need not remember them. @param thoughts the signatures of these thoughts, in their order
 */
export function newCallId(thoughts: readonly string[]): string {
  const random = randomBytes(6).toString('hex');
  return `toolu_${random}${own(random)}${tag(random, thoughts)}`;
}

/** Whether a call's id vouches for other thoughts than these. An id that the stand-in did not make vouches for none. */
export function lacksThoughts(id: unknown, thoughts: readonly string[]): boolean {
  const [, random = '', mark, vouched] = OURS.exec(String(id)) ?? [];
  return mark === own(random) && vouched !== tag(random, thoughts);
}

/** Whether a block is a thought. */
export function isThought({ type }: SentBlock): boolean {
  return type === 'thinking' || type === 'redacted_thinking';
}

/** The signature of a thought. */
export function signatureOf(block: SentBlock): string {
  return String(block.type === 'thinking' ? block['signature'] : block['data']);
}

function own(random: string): string {
  return mac(random).slice(0, 4);
}

function tag(random: string, thoughts: readonly string[]): string {
  return mac(JSON.stringify([random, ...thoughts])).slice(0, 8);
}

function mac(text: string): string {
  return createHmac('sha256', KEY).update(text).digest('hex');
}
