import { describe, expect, it } from '@jest/globals';
import { ServiceError } from '#errors/service-error.js';
import { refusalOf, unlessQuicker, writeOrRefuse } from './write-or-refuse.js';

const error = (message: string): ServiceError => new ServiceError('unavailable', message);

describe('a write that may meet an obstacle', () => {
  const givenUp = (): ServiceError => error('given up');

  it('reads no obstacle once it is done', async () => {
    const obstacle = (): never => {
      throw new Error('The obstacle was read.');
    };
    expect(await writeOrRefuse({ write: async () => 0, obstacle, givenUp })).toBe(0);
  });

  it('is refused for the obstacle, or answered with what was found there', async () => {
    const write = async (): Promise<string | undefined> => undefined;
    await expect(writeOrRefuse({ write, obstacle: async () => error('in the way'), givenUp })).rejects.toThrow(
      'in the way',
    );
    expect(await writeOrRefuse({ write, obstacle: async () => 'earlier', givenUp })).toBe('earlier');
  });

  it('is tried again while the obstacle is gone when it is read, three times', async () => {
    const seen: unknown[] = [];
    const write = async (): Promise<number | undefined> => (seen.push('write') > 4 ? 5 : undefined);
    const obstacle = async (again: boolean): Promise<undefined> => void seen.push(again);
    expect(await writeOrRefuse({ write, obstacle, givenUp })).toBe(5);
    expect(seen).toEqual(['write', false, 'write', true, 'write']);
    seen.length = 0;
    const never = async (): Promise<undefined> => void seen.push('write');
    await expect(writeOrRefuse({ write: never, givenUp })).rejects.toThrow('given up');
    expect(seen).toHaveLength(3);
  });

  it('that another request was quicker than has met an obstacle; any other error is thrown', async () => {
    const fails = (message: string) => async (): Promise<string> => Promise.reject(new Error(message));
    const isConflict = (thrown: unknown): boolean => (thrown as Error).message === 'conflict';
    expect(await unlessQuicker(isConflict, async () => 'done')).toBe('done');
    expect(await unlessQuicker(isConflict, fails('conflict'))).toBeUndefined();
    await expect(unlessQuicker(isConflict, fails('fault'))).rejects.toThrow('fault');
  });

  it('has an obstacle that is thrown or returned, and passes faults on', async () => {
    const found = error('in the way');
    expect(await refusalOf(async () => found)).toBe(found);
    expect(await refusalOf(() => Promise.reject(found))).toBe(found);
    await expect(refusalOf(() => Promise.reject(new TypeError('a fault')))).rejects.toThrow(TypeError);
  });
});
