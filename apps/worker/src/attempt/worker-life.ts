import { Injectable } from '@nestjs/common';
import type { StoppingWorker } from '#jobs/transitions.js';

/** For how long this worker has been running, and told to stop. */
@Injectable()
export class WorkerLife implements StoppingWorker {
  private toldAt: number | undefined;

  get uptimeSeconds(): number {
    return process.uptime();
  }

  /** 0: it was not told to stop. */
  get stoppingSeconds(): number {
    return this.toldAt === undefined ? 0 : (performance.now() - this.toldAt) / 1_000;
  }

  /** The worker is told to stop. */
  stop(): void {
    this.toldAt ??= performance.now();
  }
}
