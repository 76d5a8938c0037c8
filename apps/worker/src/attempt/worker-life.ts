import { Injectable } from '@nestjs/common';
import type { StoppingWorker } from '#jobs/transitions.js';

/** For how long this worker has been running, and told to stop. */
@Injectable()
export class WorkerLife implements StoppingWorker {
  private stoppedAt: number | undefined;

  get uptimeSeconds(): number {
    return process.uptime();
  }

  /** 0: it was not told to stop. */
  get stoppingSeconds(): number {
    return this.stoppedAt === undefined ? 0 : (performance.now() - this.stoppedAt) / 1_000;
  }

  /** The worker is told to stop. */
  stop(): void {
    this.stoppedAt ??= performance.now();
  }
}
