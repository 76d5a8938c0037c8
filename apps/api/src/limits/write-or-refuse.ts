import { ServiceError } from '#errors/service-error.js';

const MOST_TRIES = 3;

/** A write that an obstacle may prevent: another turn of the chat, or a limit of the user. */
export interface Write<T> {
  /** Writes. @returns undefined when an obstacle was in the way */
  readonly write: () => Promise<T | undefined>;
  /**
   * Finds the obstacle, off the hot path. `again`: this is not the first try.
   * @returns the error for the client, or an earlier request's answer; undefined when the obstacle is gone
   */
  readonly obstacle?: (again: boolean) => Promise<ServiceError | T | undefined>;
  /** The error for the client when the last try met an obstacle that was gone when it was read. */
  readonly givenUp: () => ServiceError;
  readonly tries?: number;
}

/**
 * Writes, or throws the reason why not. The statement that writes shows only that there is an obstacle. A second statement reads which one.
 * If the obstacle is gone by then, the write is tried again. @throws ServiceError the obstacle
 */
export async function writeOrRefuse<T>({ write, obstacle, givenUp, tries = MOST_TRIES }: Write<T>): Promise<T> {
  for (let tried = 0; tried < tries; tried++) {
    const found = (await write()) ?? (await obstacle?.(tried > 0));
    if (found instanceof ServiceError) throw found;
    if (found !== undefined) return found;
  }
  throw givenUp();
}

/** The result of a write; undefined when another request was quicker. `isConflict` recognizes the error that shows this. */
export async function unlessQuicker<T>(
  isConflict: (error: unknown) => boolean,
  write: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await write();
  } catch (error) {
    if (isConflict(error)) return undefined;
    throw error;
  }
}

/** The error for the client that `read` throws or returns. */
export async function refusalOf(read: () => Promise<ServiceError | undefined>): Promise<ServiceError | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
}
