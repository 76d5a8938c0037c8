import { Histogram } from 'prom-client';
import type { EndedTurn } from '#jobs/states.js';
import { registry, TURN_SECONDS } from './registry.js';

const duration = new Histogram({
  name: 'rejoinder_turn_duration_seconds',
  help: 'From the moment a turn was accepted to its final state.',
  labelNames: ['assistant', 'status'],
  buckets: TURN_SECONDS,
  registers: [registry],
});

/**
 * Counts a turn's end. To be called by whoever wrote the final state (the worker, the API for a cancel over its head, the
 * reconciler), once the statement gave its row back: so each turn is counted once.
 */
export function turnEnded(turn: EndedTurn, status: 'succeeded' | 'failed' | 'canceled'): void {
  duration.observe({ assistant: turn.assistant, status }, turn.seconds);
}
