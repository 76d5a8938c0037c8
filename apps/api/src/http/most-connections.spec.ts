import { describe, expect, it } from '@jest/globals';
import { mostConnections, openFilesIn } from './most-connections.js';

const LIMITS = (soft: string): string => `Limit                     Soft Limit           Hard Limit           Units
Max processes             unlimited            unlimited            processes
Max open files            ${soft.padEnd(20)} 1048576              files
Max locked memory         8388608              8388608              bytes`;

describe('the most connections', () => {
  it('are as many as are wanted, where the system lets the process open as many files and some more', () => {
    expect(mostConnections(12_000, openFilesIn(LIMITS('1048576')))).toBe(12_000);
    expect(mostConnections(12_000, openFilesIn(LIMITS('unlimited')))).toBe(12_000);
    expect(mostConnections(12_000, openFilesIn('what is this?'))).toBe(12_000);
  });

  it('leave files for stores and the like, where there are few', () => {
    expect(mostConnections(12_000, openFilesIn(LIMITS('4096')))).toBe(3_896);
    expect(mostConnections(12_000, openFilesIn(LIMITS('64')))).toBe(1);
  });

  it('are asked of this system', () => {
    expect(mostConnections(12_000)).toBeGreaterThan(100);
  });
});
