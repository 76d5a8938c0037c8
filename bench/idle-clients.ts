import { connect } from 'node:net';

/*
 * The clients of `idle-streams.ts`, in a process of their own, so that their memory and work are not the API's. Opens event streams on bare
 * sockets, keeps them, and reports on them to its parent. It leaves all of them when the parent disconnects.
 */

/** The streams to open: `count` of them, with each of the requests in turn. */
export interface Task {
  readonly host: string;
  readonly port: number;
  readonly requests: readonly { readonly path: string; readonly token: string }[];
  readonly count: number;
}

/** A report on the streams. All numbers only grow. */
export interface Fare {
  /** Streams that have shown their job as running. */
  opened: number;
  /** Streams with another answer, or none. */
  refused: number;
  /** Streams that ended, though no client left them. */
  ended: number;
  /** Beats of all streams. */
  beats: number;
  /** The first fault. */
  fault?: string;
}

/** How many streams are opened at the same time. */
const AT_ONCE = 50;

const REPORT_MS = 250;
const BEAT = ':\n\n';

const fare: Fare = { opened: 0, refused: 0, ended: 0, beats: 0 };

function wrong(what: 'refused' | 'ended', why: string): void {
  fare[what] += 1;
  fare.fault ??= `${what}: ${why}`;
}

/** Opens one stream. Resolves once it is open, or has failed. */
function open({ host, port }: Task, { path, token }: Task['requests'][number]): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, host).setEncoding('latin1');
    let head: string | undefined = '';
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: Bearer ${token}\r\n` +
        'Accept: text/event-stream\r\nAccept-Encoding: gzip, deflate, br\r\nUser-Agent: rejoinder-bench\r\n' +
        'Cache-Control: no-cache\r\nAccept-Language: es\r\n\r\n',
    );
    socket.on('data', (chunk: unknown) => {
      const text = String(chunk);
      if (head === undefined) {
        if (text.includes(BEAT)) fare.beats += 1;
        return;
      }
      head += text;
      if (!head.startsWith('HTTP/1.1 200 ')) return void socket.destroy();
      if (!head.includes('"status":"running"')) return;
      head = undefined;
      fare.opened += 1;
      resolve();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (head === undefined) return wrong('ended', path);
      wrong('refused', head.slice(0, 500) || 'without a word');
      resolve();
    });
  });
}

process.once('message', (task: Task) => {
  const report = (): void => void process.send?.(fare);
  setInterval(report, REPORT_MS);
  let begun = 0;
  const openOnes = async (): Promise<void> => {
    while (begun < task.count) {
      const request = task.requests[begun++ % task.requests.length];
      if (request !== undefined) await open(task, request);
    }
  };
  for (let n = 0; n < AT_ONCE; n++) void openOnes();
});
process.once('disconnect', () => process.exit(0));
