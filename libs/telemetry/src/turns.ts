import { Histogram } from 'prom-client';
import type { EndedTurn } from '#jobs/ending.js';
import { registry, TURN_SECONDS } from './registry.js';

const duration = new Histogram({
  name: 'rejoinder_turn_duration_seconds',
  help: 'From the moment a turn was accepted to its final state.',
  labelNames: ['assistant', 'status'],
  buckets: TURN_SECONDS,
  registers: [registry],
});

/**
 * Counts the end of a turn. The process that wrote the final state calls it, once the statement has returned its row. So each turn is
 * counted once.
 */
export function turnEnded({ assistant, status, seconds }: EndedTurn): void {
  duration.observe({ assistant, status }, seconds);
}
