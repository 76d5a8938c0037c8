import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { LogLine } from './log-line.js';
import { logWhatIsPrinted } from './printed.js';

describe('what libraries print', () => {
  let logged: unknown[];
  let giveBack: () => void;
  const printed = { log: console.log, warn: console.warn };
  const listeners = process.listeners('warning');
  beforeEach(() => {
    logged = [];
    const note =
      (level: string) =>
      (message: unknown): void =>
        void logged.push(message instanceof LogLine ? [level, message.words, message.error] : message);
    Logger.overrideLogger({ debug: note('debug'), log: note('log'), warn: note('warn'), error: note('error') });
    giveBack = logWhatIsPrinted();
  });
  afterEach(() => {
    giveBack();
    Logger.overrideLogger(false);
    expect([console.log, console.warn]).toEqual([printed.log, printed.warn]);
    expect(process.listeners('warning')).toEqual(listeners);
  });

  it('is a line of the log, without its words', () => {
    console.warn('the model said hunter2', { and: 'more' });
    console.error(new TypeError('hunter2'));
    expect(logged).toEqual([
      ['warn', 'a library printed something', undefined],
      ['error', 'a library printed something', expect.objectContaining({ type: 'TypeError' })],
    ]);
    expect(JSON.stringify(logged)).not.toContain('hunter2');
  });

  it('keeps the words of what is about a store, and is nothing where the log has that already', () => {
    console.warn('BullMQ: PostgreSQL 16 or newer is recommended for the PostgreSQL backend (detected 15.4).');
    console.warn('IMPORTANT! Eviction policy is allkeys-lru. It should be "noeviction"');
    console.warn('It is highly recommended to use a minimum Redis version of 6.2.0\n             Current: 5.0.7');
    expect(logged).toEqual([
      ['warn', expect.stringMatching(/^BullMQ: PostgreSQL 16 .* \(detected 15\.4\)\.$/), undefined],
    ]);
  });

  it('is told apart from a warning of Node, which has its name and code', () => {
    process.emit('warning', Object.assign(new Error('hunter2'), { name: 'DeprecationWarning', code: 'DEP9999' }));
    expect(logged).toEqual([
      ['warn', 'Node warns', expect.objectContaining({ type: 'DeprecationWarning', code: 'DEP9999' })],
    ]);
    expect(JSON.stringify(logged)).not.toContain('hunter2');
  });
});
