import { Injectable } from '@nestjs/common';
import type { StoppingWorker } from '#jobs/transitions.js';

/** How long this worker has been running, and how long ago it was asked to stop. */
@Injectable()
export class WorkerLife implements StoppingWorker {
  private stopAskedAt: number | undefined;

  get uptimeSeconds(): number {
    return process.uptime();
  }

  /** 0: the worker was not asked to stop. */
  get stoppingSeconds(): number {
    return this.stopAskedAt === undefined ? 0 : (performance.now() - this.stopAskedAt) / 1_000;
  }

  /** Notes that the worker was asked to stop. */
  stop(): void {
    this.stopAskedAt ??= performance.now();
  }
}
