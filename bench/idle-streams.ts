import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentBytes } from '../test/support/machine.js';
import { type Stack, startStack, tokenFor } from '../test/support/stack.js';
import { until } from '../test/support/until.js';
import type { Fare, Task } from './idle-clients.js';

/*
 * `npm run bench -- streams [STREAMS]`: the memory of one API process that holds many event streams of running, silent jobs, and how these
 * slow another request. It starts all it needs: PostgreSQL, stand-in model, API, worker, and clients. Ends with 1 when a stream was refused
 * or ended, or when ten thousand streams take more memory than is promised.
 */

/** The README's promise: this many idle streams, within this many megabytes (10⁶ bytes) of resident memory. */
const PROMISED_STREAMS = 10_000;
const PROMISED_MB = 400;

/** Users, each with one chat and one job. */
const USERS = 100;

/** Files that a process needs besides its streams. */
const OTHER_FILES = 200;

/** Three beats, and a little more, in milliseconds. */
const THREE_BEATS_MS = 35_000;

/** How long requests are measured, in milliseconds: longer than the time between two beats. */
const REQUESTS_MS = 12_000;
const REQUEST_EVERY_MS = 10;

/** How long after the last client has left memory is measured, in milliseconds. */
const REST_MS = 10_000;

/** In seconds. The model is silent for longer than the bench takes. */
const SILENCE_SECONDS = '600';

const [asked = String(PROMISED_STREAMS)] = process.argv.slice(2);
const streams = Number(asked);
if (!/^\d+$/.test(asked) || streams < 1) {
  console.error('npm run bench -- streams [STREAMS]');
  process.exit(2);
}
// Node itself raises the soft limit to the hard one.
const files = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
if (Number(files) < streams + OTHER_FILES) {
  console.error(
    `${streams} streams need ${streams + OTHER_FILES} open files in one process; \`ulimit -Hn\` allows ${files}.`,
  );
  process.exit(2);
}

/** Starts a silent job for each user. @returns the requests that follow them */
async function silentJobs(stack: Stack): Promise<Task['requests']> {
  await stack.model.script('think about it', { pieces: ['Hmm. '], stall_after: 1 });
  return Promise.all(
    Array.from({ length: USERS }, async (_, n) => {
      const user = `user-${n}`;
      const client = stack.as(user);
      const { id } = await client.turnAsync((await client.chat()).id, 'think about it');
      const path = `/api/v1/jobs/${id}`;
      await until(async () => (await client.get(path)).body.status === 'running', `the attempt of ${user}`);
      return { path: `${path}/events`, token: tokenFor(user) };
    }),
  );
}

/** The process of the clients. */
class Clients {
  fare: Fare = { opened: 0, refused: 0, ended: 0, beats: 0 };
  private readonly child: ChildProcess = fork(join(import.meta.dirname, 'idle-clients.js'));

  constructor(task: Task) {
    this.child.on('message', (fare) => (this.fare = fare as Fare));
    this.child.send(task);
  }

  get faults(): number {
    return this.fare.refused + this.fare.ended;
  }

  /** Closes all streams. */
  async leave(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.disconnect();
    await gone;
  }
}

/** Polls a job at a steady pace. @returns how long the answers took, in words */
async function requests(api: string, { path, token }: Task['requests'][number]): Promise<string> {
  const agent = new Agent({ keepAlive: true });
  const took: number[] = [];
  const ask = async (): Promise<void> => {
    const begun = performance.now();
    await new Promise<void>((resolve, reject) => {
      get(
        new URL(path.replace('/events', ''), api),
        { agent, headers: { authorization: `Bearer ${token}` } },
        (answer) => answer.resume().once('end', resolve),
      ).once('error', reject);
    });
    took.push(performance.now() - begun);
  };
  const end = Date.now() + REQUESTS_MS;
  const all: Promise<void>[] = [];
  // The pace does not depend on the answers. So a slow answer also counts for the requests that came after it.
  for (; Date.now() < end; await sleep(REQUEST_EVERY_MS)) all.push(ask());
  await Promise.all(all);
  agent.destroy();
  took.sort((a, b) => a - b);
  const at = (share: number): string =>
    (took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms of ${took.length}`;
}

const stack = await startStack({
  ownPostgres: true,
  env: {
    MODEL_IDLE_SECONDS: SILENCE_SECONDS,
    MODEL_TOTAL_SECONDS: SILENCE_SECONDS,
    WORKER_CONCURRENCY: String(USERS),
  },
});
let clients: Clients | undefined;
let highest = 0;
const megabytes = (): number => {
  const now = residentBytes(stack.api.process.pid ?? 0) / 1e6;
  highest = Math.max(highest, now);
  return now;
};
const say = (what: string, figures: string): void => console.log(`${what.padEnd(34)}${figures}`);
const sayMemory = (what: string): void => say(what, `${megabytes().toFixed(0)} MB`);
try {
  const followed = await silentJobs(stack);
  const [first] = followed;
  if (first === undefined) throw new Error('There is nothing to follow.');
  say('a GET, no streams', await requests(stack.api.url, first));
  const before = megabytes();
  sayMemory('API before');

  const { hostname, port } = new URL(stack.api.url);
  const begun = Date.now();
  const opening = (clients = new Clients({ host: hostname, port: Number(port), requests: followed, count: streams }));
  const watch = setInterval(megabytes, 500);
  await until(async () => opening.faults > 0 || opening.fare.opened >= streams, 'the streams', 180_000);
  sayMemory(`all ${streams} open, after ${((Date.now() - begun) / 1000).toFixed(0)} s`);
  await sleep(THREE_BEATS_MS);
  sayMemory(`after ${THREE_BEATS_MS / 1000} s more`);
  say('a GET beside the streams', await requests(stack.api.url, first));
  sayMemory('after that');
  clearInterval(watch);
  say('at the highest', `${highest.toFixed(0)} MB, ${(((highest - before) * 1000) / streams).toFixed(1)} kB a stream`);
  const { fare } = opening;
  say('streams', `${fare.opened} opened, ${fare.refused} refused, ${fare.ended} ended, ${fare.beats} beats`);
  if (fare.fault !== undefined) console.log(fare.fault);
  const missed = fare.beats < 3 * streams;
  if (missed) console.log('Some streams have missed a beat.');
  const tooMuch = streams <= PROMISED_STREAMS && highest > PROMISED_MB;
  if (tooMuch) console.log(`That is more than the ${PROMISED_MB} MB that are promised.`);
  if (opening.faults > 0 || missed || tooMuch) process.exitCode = 1;

  await opening.leave();
  await sleep(REST_MS);
  sayMemory(`${REST_MS / 1000} s after all have left`);
} finally {
  await clients?.leave();
  await stack.stop();
}
