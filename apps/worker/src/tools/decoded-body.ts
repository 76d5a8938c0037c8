import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { AnswerFault } from './answer-fault.js';

/** What a request says it takes, in `accept-encoding`. */
export const ACCEPTED_ENCODINGS = 'gzip, br';

const DECODERS = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/**
 * The body of an answer without its compression. It is decompressed only as fast as it is read, so a reader that stops pays for nothing
 * more.
 *
 * @throws AnswerFault if the encoding is not known, or there are several
 */
export function decodedBody(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding']?.trim().toLowerCase() || 'identity';
  if (encoding === 'identity') return response;
  const decoder = DECODERS.get(encoding)?.();
  if (decoder === undefined) throw new AnswerFault('The tool answered in a compression that is not known.');
  // An error of one is an error of the other, which the reader sees.
  return pipeline(response, decoder, () => undefined);
}
