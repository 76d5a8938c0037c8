import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { parse, parseAllDocuments } from 'yaml';
import { AFTER_DRAIN_MS, CLOSE_MS, HAND_BACK_MS } from '#jobs/timings.js';
import { STOP_MS } from '#process/start-app.js';
import { freshDatabase } from '../support/database.js';
import { readDockerfile } from '../support/dockerfile.js';
import { knownSettings } from '../support/known-settings.js';
import { schemaFaults } from '../support/kubernetes-schema.js';
import { generatedConfigMaps, looseEndsOf, type Manifest, manifestsIn, manifestsOf } from '../support/manifests.js';

const BASE = 'deploy/kubernetes/base';
const EXAMPLE = 'deploy/kubernetes/example';
const manifests = manifestsOf(EXAMPLE);
const named = manifests.map((one) => [`${one.kind} ${one.metadata.name}`, one] as const);
const of = (kind: string): Manifest[] => manifests.filter((one) => one.kind === kind);
const found = (kind: string, name: string): Manifest => {
  const one = of(kind).find(({ metadata }) => metadata.name === name);
  if (one === undefined) throw new Error(`There is no ${kind} ${name}.`);
  return one;
};
const pods = [...of('Deployment'), ...of('Job')];
const container = (one: Manifest): any => one['spec'].template.spec.containers[0];
const labelsOf = (one: Manifest): Record<string, string> => ({
  'app.kubernetes.io/part-of': 'rejoinder', // the kustomization's own
  ...one['spec'].template.metadata.labels,
});
const settings = knownSettings();
const image = readDockerfile().at(-1);

/** The output of kustomize, if there is a `kubectl`. */
const kustomized = spawnSync('kubectl', ['kustomize', EXAMPLE], { encoding: 'utf8' });

describe('the manifests', () => {
  it.each([BASE, EXAMPLE, 'deploy/monitoring/operator'])('of %s are all listed, and all exist', (directory) => {
    expect(looseEndsOf(directory)).toEqual([]);
  });

  it.each(named)('%s fits the schema of its kind', (_, one) => {
    const { file: _file, ...object } = one;
    expect(schemaFaults(object)).toEqual([]);
  });

  it('fail the schemas with an extra field, a missing one, or one of another type', () => {
    const { file: _file, ...api } = structuredClone(found('Deployment', 'rejoinder-api')) as any;
    const changed = (change: (one: any) => void): string[] => {
      const copy = structuredClone(api);
      change(copy);
      return schemaFaults(copy);
    };
    expect(changed((one) => (one.spec.template.spec.containers[0].readOnly = true))).toEqual([
      '/spec/template/spec/containers/0/readOnly is no field',
    ]);
    expect(changed((one) => delete one.spec.selector).join()).toContain('selector');
    expect(changed((one) => (one.spec.template.spec.containers[0].ports[0].containerPort = 'http')).join()).toContain(
      'port',
    );
  });

  (kustomized.error === undefined ? it : it.skip)('fit the schemas after kustomize', () => {
    expect([kustomized.status, kustomized.stderr]).toEqual([0, '']);
    const objects = parseAllDocuments(kustomized.stdout).map((document) => document.toJS());
    expect(objects.length).toBeGreaterThan(manifests.length);
    expect(objects.flatMap(schemaFaults)).toEqual([]);
    expect(objects.filter(({ metadata }) => !['rejoinder', undefined].includes(metadata.namespace))).toEqual([]);
  });

  it('scale by HPA and KEDA, so no Deployment sets its replicas', () => {
    for (const one of of('Deployment')) expect(one['spec']).not.toHaveProperty('replicas');
    const targets = [...of('HorizontalPodAutoscaler'), ...of('ScaledObject')].map(
      (one) => one['spec'].scaleTargetRef.name,
    );
    expect(targets.sort()).toEqual(
      of('Deployment')
        .map(({ metadata }) => metadata.name)
        .sort(),
    );
  });

  it('select existing pods', () => {
    const selectors = [
      ...of('Deployment').map((one) => one['spec'].selector.matchLabels),
      ...of('PodDisruptionBudget').map((one) => one['spec'].selector.matchLabels),
      ...of('Service').map((one) => one['spec'].selector),
      ...of('NetworkPolicy').flatMap((one) => one['spec'].podSelector.matchLabels ?? []),
    ] as Record<string, string>[];
    for (const selector of selectors) {
      const fits = pods.filter((pod) => Object.entries(selector).every(([key, value]) => labelsOf(pod)[key] === value));
      expect([selector, fits.length > 0]).toEqual([selector, true]);
    }
    expect(of('PodDisruptionBudget').map(({ metadata }) => metadata.name)).toEqual([
      'rejoinder-api',
      'rejoinder-worker',
    ]);
  });

  it('let nothing into or out of a pod except what a policy lists', () => {
    const [nothing] = of('NetworkPolicy').filter(({ metadata }) => metadata.name === 'rejoinder-nothing');
    expect(nothing?.['spec']).toEqual({
      podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'rejoinder' } },
      policyTypes: ['Ingress', 'Egress'],
    });
  });

  it.each(pods.map((pod) => [pod.metadata.name, pod] as const))('%s meets the restricted profile', (_, pod) => {
    const { securityContext, automountServiceAccountToken, enableServiceLinks } = pod['spec'].template.spec;
    const [runAsUser, runAsGroup] = (image?.user ?? '').split(':').map(Number);
    const seccompProfile = { type: 'RuntimeDefault' };
    expect(securityContext).toEqual({ runAsNonRoot: true, runAsUser, runAsGroup, seccompProfile });
    expect(automountServiceAccountToken).toBe(false);
    // Kubernetes would set variables such as WORKER_PORT=tcp://… for each Service.
    expect(enableServiceLinks).toBe(false);
    expect(container(pod).securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const { requests, limits } = container(pod).resources;
    expect(requests).toMatchObject({ cpu: expect.any(String), memory: expect.any(String) });
    expect(limits).toMatchObject({ memory: expect.any(String) });
    expect(existsSync(container(pod).args[0])).toBe(true);
  });

  it('use existing settings; secrets only by reference, and each only where it is used', () => {
    const refs = new Set<string>();
    for (const pod of pods) {
      for (const { name, value, valueFrom } of container(pod).env) {
        expect([name, settings.has(name)]).toEqual([name, true]);
        if (valueFrom === undefined) {
          expect([name, value]).toEqual(['WORKER_DRAIN_SECONDS', expect.stringMatching(/^\d+$/)]);
          continue;
        }
        expect(valueFrom.secretKeyRef.key).toBe(name);
        refs.add(`${valueFrom.secretKeyRef.name}/${name}`);
      }
      for (const { configMapRef, secretRef } of container(pod).envFrom) {
        if (secretRef === undefined) found('ConfigMap', configMapRef.name);
        // Tools name variables of their own, so this secret is read whole. It is the only one.
        else expect(secretRef).toEqual({ name: 'rejoinder-tools', optional: true });
        if (secretRef !== undefined) refs.add('rejoinder-tools/TOOLS_SECRET');
      }
    }
    for (const name of Object.keys(found('ConfigMap', 'rejoinder-settings')['data'])) {
      expect([name, settings.has(name)]).toEqual([name, true]);
    }
    expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const page = readFileSync('docs/operations/kubernetes.md', 'utf8');
    for (const ref of [...refs, 'rejoinder-scaler/connection']) {
      const [secret = '', key = ''] = ref.split('/');
      expect([
        ref,
        page.includes(`create secret generic ${secret}`) && page.includes(`--from-literal=${key}=`),
      ]).toEqual([ref, true]);
    }
    expect(JSON.stringify(container(found('Deployment', 'rejoinder-api')))).not.toContain('ANTHROPIC');
    expect(JSON.stringify(container(found('Deployment', 'rejoinder-worker')))).not.toContain('JWT');
  });

  it('name existing ports, and check health where the apps report it', () => {
    for (const one of of('Deployment')) {
      const ports = container(one).ports.map(({ name }: { name: string }) => name);
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        const { path, port } = container(one)[probe].httpGet;
        expect(path).toBe(probe === 'readinessProbe' ? '/health/ready' : '/health/live');
        expect(ports).toContain(port);
      }
    }
    const ports = of('Deployment').flatMap((one) => container(one).ports.map(({ name }: { name: string }) => name));
    const policyPorts = of('NetworkPolicy').flatMap((one) =>
      (one['spec'].ingress ?? []).flatMap((rule: any) => rule.ports),
    );
    for (const { port } of policyPorts) expect(ports).toContain(port);
    const service = found('Service', 'rejoinder-api');
    expect(ports).toContain(service['spec'].ports[0].targetPort);
    const backend = of('Ingress')[0]?.['spec'].rules[0].http.paths[0].backend.service;
    expect(backend).toEqual({ name: 'rejoinder-api', port: { name: service['spec'].ports[0].name } });
  });

  it('leave the apps more time to stop than they take', () => {
    const grace = (name: string): number =>
      found('Deployment', name)['spec'].template.spec.terminationGracePeriodSeconds * 1_000;
    const preStopMs = container(found('Deployment', 'rejoinder-api')).lifecycle.preStop.sleep.seconds * 1_000;
    expect(preStopMs).toBeGreaterThan(0);
    expect(grace('rejoinder-api')).toBeGreaterThanOrEqual(preStopMs + STOP_MS + 5_000);
    const { env } = container(found('Deployment', 'rejoinder-worker'));
    const drain = env.find(({ name }: { name: string }) => name === 'WORKER_DRAIN_SECONDS').value * 1_000;
    expect(HAND_BACK_MS + CLOSE_MS).toBeLessThan(AFTER_DRAIN_MS);
    expect(grace('rejoinder-worker')).toBeGreaterThanOrEqual(drain + AFTER_DRAIN_MS + 5_000);
  });

  it('scale workers by the capacity of their slots, with queries that indexes answer', () => {
    const { data } = found('ConfigMap', 'rejoinder-settings') as any;
    const { triggers } = found('ScaledObject', 'rejoinder-worker')['spec'];
    const [depth, age] = triggers;
    expect(Number(depth.metadata.targetQueryValue)).toBe(Number(data.WORKER_CONCURRENCY) * 0.8);
    expect([depth.metricType, age.metricType]).toEqual(['AverageValue', 'Value']);
    for (const { authenticationRef } of triggers) found('TriggerAuthentication', authenticationRef.name);
  });

  it('query the real jobs table, with only the rights that the documentation grants', async () => {
    const { triggers } = found('ScaledObject', 'rejoinder-worker')['spec'];
    const [grant = ''] = /^GRANT .*$/m.exec(readFileSync('docs/operations/kubernetes.md', 'utf8')) ?? [];
    const copy = await freshDatabase();
    const client = new pg.Client(copy.url);
    const role = `scaler_${process.pid}`;
    try {
      await client.connect();
      // The rollback removes the role, which otherwise belongs to all databases of the server.
      await client.query(
        `BEGIN; CREATE ROLE ${role}; ${grant.replace('rejoinder_scaler', role)} SET LOCAL ROLE ${role}`,
      );
      for (const { metadata } of triggers) {
        const { rows } = await client.query({ text: metadata.query, rowMode: 'array' });
        expect(rows.map((row) => row.map(Number))).toEqual([[0]]);
      }
      await expect(client.query('SELECT user_id FROM jobs')).rejects.toThrow('permission denied');
    } finally {
      await client.end();
      await copy.drop();
    }
  });

  it('of the example provide the assistants so that the API can read them', () => {
    const [patch] = manifestsIn(`${EXAMPLE}/assistants-patch.yaml`);
    const { containers, volumes } = patch?.['spec'].template.spec ?? {};
    const [generated] = generatedConfigMaps(EXAMPLE);
    expect(volumes[0].configMap.name).toBe(generated?.name);
    expect(containers[0].env[0].value).toBe(`${containers[0].volumeMounts[0].mountPath}/${generated?.keys[0]}`);
    expect(containers[0].name).toBe(container(found('Deployment', 'rejoinder-api')).name);
    const file = parse(readFileSync(`${EXAMPLE}/assistants.yaml`, 'utf8'));
    const ours = parse(readFileSync('assistants.yaml', 'utf8'));
    expect(Object.keys(file.assistants[0])).toEqual(Object.keys(ours.assistants[0]));
  });
});
