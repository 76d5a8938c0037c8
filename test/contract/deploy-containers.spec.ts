import { describe, expect, it } from '@jest/globals';
import { DCLinter } from 'dclint';
import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { AFTER_DRAIN_MS } from '#jobs/timings.js';
import { STOP_MS } from '#process/start-app.js';
import { readSettings } from '#settings/settings.js';
import { isInContext } from '../image/build.js';
import { readDockerfile } from '../support/dockerfile.js';
import { knownSettings } from '../support/known-settings.js';

const stages = readDockerfile();
const image = stages.at(-1);
const text = readFileSync('docker-compose.yml', 'utf8');
const compose = parse(text, { merge: true }) as { services: Record<string, any>; volumes: Record<string, unknown> };
const services = Object.entries(compose.services);
const settings = knownSettings();

/** Settings that a worker needs to start. */
const STORES = { DATABASE_URL: 'postgres://localhost/db', ANTHROPIC_API_KEY: 'key' };

/** A tag with a version in it, not `latest` or a name that moves between major versions. */
const PINNED = /^[\w./-]+:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$/;

describe('the Dockerfile', () => {
  it('builds in one stage and ships another, on images of one stated version', () => {
    expect(stages).toHaveLength(2);
    for (const stage of stages) expect(stage.image).toMatch(PINNED);
    expect(new Set(stages.map((stage) => stage.image)).size).toBe(1);
  });

  it('takes into the image only what the build made, and runs nothing there', () => {
    for (const step of image?.steps ?? []) expect(step).toMatchObject({ copy: { from: 'build' } });
  });

  it('runs as a user by number that is not root, as process 1 without a shell', () => {
    expect(image?.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect([image?.entrypoint, image?.command]).toEqual([['node'], ['dist/bin/api.js']]);
    expect(image?.env).toEqual({ NODE_ENV: 'production' });
  });

  it('carries no secret: no ENV or ARG holds one, and .dockerignore lets none in', () => {
    expect(readFileSync('Dockerfile', 'utf8')).not.toMatch(/^[ \t]*ARG|SECRET|KEY|PASSWORD/m);
    const taken = isInContext(readFileSync('.dockerignore', 'utf8'));
    for (const path of ['.env', '.git/config', '.data/jwt-secret', 'apps/.env.local', 'node_modules/pg', 'dist/bin']) {
      expect([path, taken(path)]).toEqual([path, false]);
    }
    for (const path of ['apps/api/src/main.ts', 'libs/client/package.json', 'openapi.yaml', 'package-lock.json']) {
      expect([path, taken(path)]).toEqual([path, true]);
    }
  });
});

describe('docker-compose.yml', () => {
  it('fits the schema of Compose', () => {
    const off = [
      'service-keys-order',
      'services-alphabetical-order',
      'top-level-properties-order',
      'no-quotes-in-volumes',
    ];
    // The first rule does not understand an address in a variable; another test here checks the ports. The project's name is its
    // directory's, under which developers have their volumes.
    off.push('no-unbound-port-interfaces', 'require-project-name-field');
    const rules = Object.fromEntries(off.map((rule) => [rule, 0 as const]));
    const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });
    expect(
      linter.lintFiles(['docker-compose.yml'], false).flatMap((result: { messages: unknown[] }) => result.messages),
    ).toEqual([]);
  });

  it.each(services)('gives %s no root, no capabilities, a read-only file system, and limits', (_, service) => {
    expect(service.user).not.toMatch(/^(root|0)\b/);
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    const { cpus, memory, pids } = service.deploy.resources.limits;
    expect([typeof cpus, typeof memory, typeof pids]).toEqual(['string', 'string', 'number']);
    expect(service.image).toMatch(/^rejoinder:\$\{REJOINDER_VERSION:-local\}$|^[\w./-]+:v?\d+\.\d+/);
  });

  it('checks the health of each service that can report it', () => {
    const silent = services.filter(([, { healthcheck }]) => healthcheck.disable === true).map(([name]) => name);
    expect(silent).toEqual(['migrate', 'otel-collector']);
    for (const [, { healthcheck }] of services) expect(healthcheck.disable ?? healthcheck.test[0]).toBeTruthy();
  });

  it('opens no port to other machines by default', () => {
    for (const [, { ports = [] }] of services) {
      for (const port of ports) expect(port).toMatch(/^(127\.0\.0\.1|\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}):/);
    }
  });

  it('can start several workers: they have no port or name of their own', () => {
    expect(compose.services['worker']).not.toHaveProperty('ports');
    for (const [, service] of services) expect(service).not.toHaveProperty('container_name');
  });

  it('starts the apps on a migrated database', () => {
    for (const name of ['api', 'worker']) {
      expect(compose.services[name].depends_on.migrate).toEqual({ condition: 'service_completed_successfully' });
    }
    expect(compose.services['migrate'].depends_on.postgres).toEqual({ condition: 'service_healthy' });
  });

  it('runs programs that are in the image, for longer than they take to stop', () => {
    for (const name of ['migrate', 'api', 'worker']) {
      const { command = image?.command, stop_grace_period, build, user } = compose.services[name];
      expect(existsSync(command[0])).toBe(true);
      expect([build, user]).toEqual(['.', image?.user]);
      const { workerDrainMs } = readSettings('worker', { NODE_ENV: 'production', ...STORES });
      const stopMs = name === 'worker' ? workerDrainMs + AFTER_DRAIN_MS : STOP_MS;
      expect(1_000 * Number(/^(\d+)s$/.exec(stop_grace_period)?.[1])).toBeGreaterThanOrEqual(stopMs + 5_000);
    }
  });

  it('sets only existing settings, and no secret', () => {
    for (const name of ['migrate', 'api', 'worker']) {
      for (const [key, value] of Object.entries<string>(compose.services[name].environment)) {
        // OTEL_… are settings of OpenTelemetry.
        expect(key.startsWith('OTEL_') || settings.has(key)).toBe(true);
        if (/SECRET|KEY/.test(key)) expect(value).toBe(`\${${key}:-}`);
      }
    }
  });

  it('mounts existing files', () => {
    for (const [, { volumes = [] }] of services) {
      for (const volume of volumes) {
        // The default of the variable.
        const [from = ''] = volume.replace(/^\$\{\w+:-([^}]+)\}/, '$1').split(':');
        expect([from, from.startsWith('.') ? existsSync(from) : from in compose.volumes]).toEqual([from, true]);
      }
    }
  });
});
