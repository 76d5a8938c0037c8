import { type ModelFault, rejected } from './model-fault.js';

/**
 * Bytes that are read of an answer, and of a refusal. The longest reply that is kept has a third of that at its longest in UTF-8, and
 * a model's longest today a hundredth; what is left is for the events around its pieces. They are counted as they are once unpacked.
 */
export const LARGEST_ANSWER = 64 * 1024 * 1024;
export const LARGEST_REFUSAL = 1024 * 1024;

/** How many bytes are read at most. */
export interface Largest {
  readonly answer: number;
  readonly refusal: number;
}

/**
 * A `fetch` whose answers end: the SDK holds a line until its end has come, and a refusal whole, however long they are.
 *
 * Reading more than the bound fails with {@link ModelFault} `model_rejected`: an answer that does not end is as long the next time.
 */
export function boundedFetch(
  fetch: typeof globalThis.fetch,
  largest: Largest = { answer: LARGEST_ANSWER, refusal: LARGEST_REFUSAL },
): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    const { body, status, statusText, headers } = response;
    if (body === null) return response;
    if (response.ok && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')) {
      // The SDK reads events from whatever can be iterated. A stream through which all goes would cost a third of what it costs to read.
      return Object.defineProperty(response, 'body', { value: counted(response, body, largest.answer) });
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

/** Called with each chunk of a response's body. The SDK swallows pings, which are all that comes while a model thinks unseen. */
const listeners = new WeakMap<Response, () => void>();

/** Has `listener` called whenever bytes of the body come, whatever they say. The response is one of {@link boundedFetch}. */
export function onBytes(response: Response, listener: () => void): void {
  listeners.set(response, listener);
}

/** The chunks of a response's body; to leave off, or a body that is too long, ends its reading. @throws ModelFault */
async function* counted(
  response: Response,
  body: ReadableStream<Uint8Array>,
  largest: number,
): AsyncGenerator<Uint8Array> {
  let left = largest;
  for await (const chunk of body) {
    left -= chunk.byteLength;
    if (left < 0) throw tooLong();
    listeners.get(response)?.();
    yield chunk;
  }
}

function tooLong(): ModelFault {
  return rejected('The model’s answer is too long.');
}
