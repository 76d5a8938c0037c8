import { type ModelFault, rejected } from './model-fault.js';

/**
 * The most bytes read of an answer, and of a refusal, after decompression. The longest reply that is kept takes at most a third of this in
 * UTF-8, and the longest of today's models a hundredth. The rest is room for the events around the text.
 */
export const LARGEST_ANSWER = 64 * 1024 * 1024;
export const LARGEST_REFUSAL = 1024 * 1024;

/** Most bytes that are read. */
export interface Largest {
  readonly answer: number;
  readonly refusal: number;
}

/** Options that a caller of a bounded `fetch` may add to a request. */
export interface BoundedInit {
  /** Called with each chunk of a streamed answer. */
  readonly onBytes?: () => void;
}

/** The two kinds of streamed answers: of the Messages API and Vertex AI, and of Amazon Bedrock. */
const STREAM = /^(?:text\/event-stream|application\/vnd\.amazon\.eventstream)\b/i;

/**
 * A `fetch` that limits the size of answers. The SDK keeps a line in memory until its end, and a whole refusal, without any limit.
 *
 * Reading beyond the limit fails with {@link ModelFault} `model_rejected`: an endless answer would be endless the next time, too.
 */
export function boundedFetch(
  fetch: typeof globalThis.fetch,
  largest: Largest = { answer: LARGEST_ANSWER, refusal: LARGEST_REFUSAL },
): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    const { body, status, statusText, headers } = response;
    if (body === null) return response;
    if (response.ok && STREAM.test(headers.get('content-type') ?? '')) {
      // The SDK reads events from any iterable. A TransformStream in between would add a third to the cost of reading.
      const value = counted(body, largest.answer, (init as BoundedInit | undefined)?.onBytes);
      return Object.defineProperty(response, 'body', { value });
    }
    let left = response.ok ? largest.answer : largest.refusal;
    const through = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        left -= chunk.byteLength;
        if (left < 0) controller.error(tooLong());
        else controller.enqueue(chunk);
      },
    });
    return new Response(body.pipeThrough(through), { status, statusText, headers });
  };
}

/** The chunks of a response's body. Stopping the iteration, or a body that is too long, cancels the body. @throws ModelFault */
async function* counted(
  body: ReadableStream<Uint8Array>,
  largest: number,
  onBytes: (() => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let left = largest;
  for await (const chunk of body) {
    left -= chunk.byteLength;
    if (left < 0) throw tooLong();
    onBytes?.();
    yield chunk;
  }
}

function tooLong(): ModelFault {
  return rejected('The model’s answer is too long.');
}
