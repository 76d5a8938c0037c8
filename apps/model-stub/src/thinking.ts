import { randomBytes } from 'node:crypto';

/** A signature for a thought of a model. It says which model's it is: no other one takes it. */
export function newSignature(model: string): string {
  return Buffer.from(`${model}/${randomBytes(48).toString('hex')}`).toString('base64');
}
