import { destination } from 'pino';

/** Most text that is gathered before it is written, in characters. */
const LONGEST_BUNDLE = 8 * 1024;

/** Where log lines go. */
export interface LogStream {
  write(line: string): void;
}

/**
 * Standard output, written to at the end of each turn of the event loop, and when the process ends: at once for whoever reads it, and
 * however many lines a turn has, one call of the system. Each costs more than all else about a line. It waits for a reader that is
 * slow, as what is written is to be complete and in order; when the reader is gone, the process goes on without.
 */
export function standardOutput(): LogStream {
  // The lines are gathered here: the destination's own buffer ends with `flushSync`, which never returns when the reader is gone.
  const stdout = destination({ dest: 1, sync: true });
  let bundle = '';
  let due = false;
  const flush = (): void => {
    due = false;
    const text = bundle;
    bundle = '';
    if (text !== '') stdout.write(text);
  };
  process.on('exit', flush);
  return {
    write: (line) => {
      bundle += line;
      if (bundle.length >= LONGEST_BUNDLE) return flush();
      if (due) return;
      due = true;
      setImmediate(flush);
    },
  };
}
