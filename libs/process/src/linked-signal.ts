/** A signal that follows others until it is released. */
export interface LinkedSignal {
  /** Aborts with the first of its sources, and for the same reason. */
  readonly signal: AbortSignal;
  /** Stops following. The caller calls it when its work has ended, so that sources that live longer hold no reference to it. */
  readonly release: () => void;
}

/**
 * Links the signals that may end a call. `AbortSignal.any` does the same, but on Node 20 it holds its sources by weak references only. The
 * next garbage collection takes a source without another reference, and then a call waits for a silent server until its connection breaks.
 * Here each source has a plain listener, which holds the controller until `release`.
 */
export function linkedSignal(...sources: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const links = sources.map((source) => ({ source, abort: () => controller.abort(source.reason) }));
  const release = (): void => links.forEach(({ source, abort }) => source.removeEventListener('abort', abort));
  for (const { source, abort } of links) {
    if (source.aborted) abort();
    else source.addEventListener('abort', abort, { once: true });
  }
  return { signal: controller.signal, release };
}
