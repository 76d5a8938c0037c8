import 'reflect-metadata';
import { listen, startApp } from '#process/start-app.js';
import { loadEnvFile, readSettings } from '#settings/settings.js';
import { beginTracing } from '#telemetry/tracing.js';
import { createApp } from './create-app.js';
import { serveMetrics } from './metrics/metrics-server.js';

void startApp('api', async () => {
  loadEnvFile();
  const settings = readSettings('api');
  await beginTracing(settings, 'api');
  const app = await createApp(settings);
  if (settings.metricsPort !== undefined) await serveMetrics(settings.metricsPort, settings.host);
  await listen(app, settings.port, settings.host);
  return { app };
});
