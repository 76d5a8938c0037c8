import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { startEmbeddedPostgres } from '../../tools/embedded-postgres.js';
import { freePort } from '../../tools/free-port.js';
import { ModelStub } from '../support/model-stub.js';
import { SECRET, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';
import { buildImage } from './build.js';
import { CONTAINED, makeReadOnly, type Program, runImage } from './run.js';

/*
 * `npm run dev -- image`: does the steps of the Dockerfile and docker-compose.yml without a container engine, and sends a turn through the
 * result. Ends with 0 when all checks hold.
 */

/** In milliseconds. Both apps promise to stop within this time (libs/process/src/start-app.ts); a container has 5 s more. */
const GRACE_MS = 25_000;

const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
  services: Record<string, { command?: string[]; healthcheck: { test: string[] } }>;
};

const place = mkdtempSync(join(tmpdir(), 'rejoinder-image-'));
chmodSync(place, 0o755);
const undo: (() => unknown)[] = [() => rmSync(place, { recursive: true, force: true })];
const began = Date.now();
const say = (what: string): void => console.log(`${((Date.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${what}`);

try {
  const image = buildImage(place);
  makeReadOnly(image);
  undo.unshift(() => execFileSync('chmod', ['-R', 'u+w', image.root]));
  const size = execFileSync('du', ['-sk', image.root], { encoding: 'utf8' });
  say(`the image adds ${Math.round(Number(size.split('\t')[0]) / 102.4) / 10} MB to ${image.stage.image}`);
  say(
    CONTAINED
      ? `runs as process 1, user ${image.stage.user}, root read-only`
      : 'runs without a container, files read-only',
  );

  const postgres = await startEmbeddedPostgres({ dataDir: join(place, 'data'), persistent: false, fast: true });
  undo.unshift(() => postgres.stop());
  const model = await ModelStub.start();
  undo.unshift(() => model.stop());
  const [port, workerPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
  const settings = {
    DATABASE_URL: postgres.url('postgres'),
    JWT_SECRET: SECRET,
    ANTHROPIC_BASE_URL: model.url,
    HOST: '127.0.0.1',
    PORT: String(port),
    WORKER_PORT: String(workerPort),
    METRICS_PORT: String(metricsPort),
    PLAYGROUND: 'on',
  };
  const url = `http://127.0.0.1:${port}`;
  const start = (name: string, changed: Record<string, string> = {}): Program => {
    const program = runImage(image, { ...settings, ...changed }, services[name]?.command);
    undo.unshift(() => program.kill());
    return program;
  };

  const migrate = start('migrate');
  assert.equal(await migrate.ended, 0, migrate.output());
  say('migrate: done');

  const programs = { api: start('api'), worker: start('worker') };
  for (const [name, program] of Object.entries(programs)) {
    const [how, ...check] = services[name]?.healthcheck.test ?? [];
    assert.equal(how, 'CMD');
    const healthy = async (): Promise<boolean> => {
      const asked = runImage({ ...image, stage: { ...image.stage, entrypoint: [] } }, settings, check);
      return (await asked.ended) === 0;
    };
    await Promise.race([
      until(healthy, `${name} to be healthy`, 30_000),
      program.ended.then((code) => assert.fail(`${name} ended with ${code}: ${program.output()}`)),
    ]);
  }
  say('api and worker: healthy');

  const authorization = `Bearer ${tokenFor('ana')}`;
  const post = async (path: string, body?: object): Promise<{ status: number; json: any }> => {
    const headers = { authorization, ...(body && { 'content-type': 'application/json' }) };
    const answer = await fetch(url + path, { method: 'POST', headers, body: body && JSON.stringify(body) });
    return { status: answer.status, json: await answer.json() };
  };
  const chat = await post('/api/v1/assistants/support/chats');
  assert.equal(chat.status, 201);
  const turn = await post(`/api/v1/chats/${chat.json.id}/turns`, { user_message: 'hello' });
  assert.equal(turn.status, 200, JSON.stringify(turn.json));
  assert.equal(turn.json.assistant_message.status, 'complete');
  for (const path of ['/', '/docs', '/docs/swagger-ui-bundle.js', '/docs/swagger-ui.css', '/openapi.yaml']) {
    assert.equal((await fetch(url + path)).status, 200, path);
  }
  say('a turn, the playground, Swagger UI: answered');

  const token = runImage(image, settings, ['dist/bin/token.js', 'ops', '--scope', 'admin']);
  assert.equal(await token.ended, 0, token.output());
  const asOperator = { headers: { authorization: `Bearer ${token.output().trim()}` } };
  assert.equal((await fetch(`${url}/api/v1/admin/dispatch`, asOperator)).status, 200);
  say('an operator: let in with a token from the image');

  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const signaledAt = Date.now();
      program.signal('SIGTERM');
      assert.equal(await program.ended, 0, program.output());
      assert.ok(Date.now() - signaledAt < GRACE_MS, `${name} took ${Date.now() - signaledAt} ms to stop`);
    }),
  );
  say('SIGTERM: both ended with 0');

  // A silent database keeps a program in its start. A signal must end it there, too.
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  undo.unshift(() => silent.close());
  const { port: silentPort } = silent.address() as { port: number };
  const waiting = { DATABASE_URL: `postgres://nobody@127.0.0.1:${silentPort}/nothing` };
  for (const name of ['api', 'migrate']) {
    const asked = new Promise((resolve) => silent.once('connection', resolve));
    const program = start(name, waiting);
    await asked;
    program.signal('SIGTERM');
    assert.equal(await program.ended, 143, program.output());
  }
  say('SIGTERM during a start: ended at once');
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const one of undo) await one();
}
process.exit();
