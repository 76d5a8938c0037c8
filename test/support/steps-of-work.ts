import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/* This module is imported outside of Jest's test files: the start of a thread costs ten times as much as most of its measurements. */

/** The time between two steps, in milliseconds. */
export const EVERY_MS = 100;

/**
 * Works for two milliseconds at each message, on a thread of its own, so that the tested code slows it down only by using up the machine.
 */
const STEP = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', () => {
    let n = 1;
    for (let i = 0; i < 100_000; i += 1) n = (n * 48_271) % 2_147_483_647;
    parentPort.postMessage(n);
  });`;

/** Called after each step, with the moment of its begin. */
type Taken = (begun: number) => void;

const watching = new Set<Taken>();
let started: Promise<Worker> | undefined;
let begun = 0;
let underWay = false;
let timer: NodeJS.Timeout | undefined;

/** Has steps made until `unwatch`, the first of them at once. All who watch share them. */
export async function watch(taken: Taken): Promise<void> {
  const thread = await (started ??= start());
  watching.add(taken);
  if (!underWay) step(thread);
}

export function unwatch(taken: Taken): void {
  watching.delete(taken);
}

/** When the last step began. */
export function lastBegun(): number {
  return begun;
}

async function start(): Promise<Worker> {
  const thread = new Worker(STEP, { eval: true });
  thread.postMessage(undefined);
  await once(thread, 'message');
  thread.on('message', () => {
    underWay = false;
    for (const taken of watching) taken(begun);
    if (watching.size > 0) timer = setTimeout(() => step(thread), EVERY_MS).unref();
  });
  // At last, because a listener that is added later keeps the process alive again.
  thread.unref();
  return thread;
}

function step(thread: Worker): void {
  clearTimeout(timer);
  underWay = true;
  begun = performance.now();
  thread.postMessage(undefined);
}
