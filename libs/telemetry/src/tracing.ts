import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { within } from '#process/within.js';
import type { Settings } from '#settings/settings.js';
import { endTraces, keepTraces } from './traces.js';

/** Time the last spans have to leave, in milliseconds: less than the process has when all else is done. */
const FLUSH_MS = 1_500;

/** Starts to keep the traces of an app, if the settings say where to send them. To be called before the app is made. */
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
    // A collector that is away or hangs is nobody to wait for.
    await within(
      FLUSH_MS,
      endTraces().catch(() => undefined),
      undefined,
    );
  }
}
