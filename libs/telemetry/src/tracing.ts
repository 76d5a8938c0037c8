import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { within } from '#process/within.js';
import type { Settings } from '#settings/settings.js';
import { endTraces, keepTraces } from './traces.js';

/** How long sending the last spans may take, in milliseconds. The process still has more time than this when all else is done. */
const FLUSH_MS = 1_500;

/** Starts an app's traces if the settings say where to send them. Call it before the app is made. */
export async function beginTracing(settings: Settings, app: 'api' | 'worker'): Promise<void> {
  if (!settings.traces) return;
  const { startSdk } = await import('#telemetry/traces-sdk.js');
  const { provider, flush } = startSdk(`rejoinder-${app}`);
  keepTraces(provider, flush);
}

/** Sends the last spans when the app stops. */
@Injectable()
export class Tracing implements OnApplicationShutdown {
  async onApplicationShutdown(): Promise<void> {
    // The stop does not wait for a collector that is away or hangs.
    await within(
      FLUSH_MS,
      endTraces().catch(() => undefined),
      undefined,
    );
  }
}
