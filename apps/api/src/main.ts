import 'reflect-metadata';
import { startApp } from '#process/start-app.js';
import { loadEnvFile, readSettings } from '#settings/settings.js';
import { createApp } from './create-app.js';

await startApp('api', async () => {
  loadEnvFile();
  const settings = readSettings('api');
  const app = await createApp(settings);
  await app.listen(settings.port, settings.host);
  return app;
});
