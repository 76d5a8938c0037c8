import { destination } from 'pino';

/** Most text that is gathered before it is written, in characters. */
const LONGEST_BUNDLE = 8 * 1024;

/** Where log lines go. */
export interface LogStream {
  write(line: string): void;
}

/**
 * Standard output. All lines of a turn of the event loop are written together at its end, and when the process ends: a reader sees them at
 * once, and they need one system call, which costs more than all other work for a line. The write waits for a slow reader, so that the log
 * is complete and in order. When the reader is gone, the process goes on without it.
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
