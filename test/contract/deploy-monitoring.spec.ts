import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { generatedConfigMaps, looseEndsOf, manifestsIn } from '../support/manifests.js';
import { METRICS } from '../support/metrics.js';
import { faultsOfExpression } from '../support/promql.js';

const HERE = 'deploy/monitoring';
const rules = parse(readFileSync(`${HERE}/alerts.yml`, 'utf8'));
const alerts: any[] = rules.groups.flatMap((group: any) => group.rules);
const dashboard = JSON.parse(readFileSync(`${HERE}/grafana/rejoinder.json`, 'utf8'));
const panels: any[] = dashboard.panels.filter((panel: any) => panel.type !== 'row');
const runbook = readFileSync('docs/operations/alerts.md', 'utf8');

describe('an expression in PromQL', () => {
  it.each([
    ['max(rejoinder_queue_oldest_seconds) > 30', []],
    ['sum by (status) (rate(rejoinder_turn_duration_seconds_count[5m]))', []],
    ['max(rejoinder_queue_oldest_seconds', ['does not parse at']],
    ['rate(rejoinder_turns_total[5m])', ['asks for rejoinder_turns_total']],
    ['rejoinder_turn_duration_seconds', ['asks for rejoinder_turn_duration_seconds']],
    ['sum by (model) (rejoinder_running_attempts)', ['asks for the label model']],
    ['rejoinder_queue_jobs{status="due"}', ['asks for the label status']],
    ['1', ['asks for nothing']],
  ])('%s is checked for grammar, names and labels', (expression, faults) => {
    expect(faultsOfExpression(expression)).toEqual(faults.map((fault) => expect.stringContaining(fault)));
  });
});

describe('the alerts', () => {
  it.each(alerts.map((alert) => [alert.alert, alert]))(
    '%s uses existing metrics, and says what to do',
    (name, alert) => {
      expect(faultsOfExpression(alert.expr)).toEqual([]);
      expect(alert.labels.severity).toMatch(/^(critical|warning|info)$/);
      expect(alert.annotations.runbook).toBe(`docs/operations/alerts.md#${name.toLowerCase()}`);
      const [, section = ''] = runbook.split(`\n## ${name}\n`);
      const [text = ''] = section.split('\n## ');
      for (const part of ['**Means**', '**Look at**', '**Do**'])
        expect([name, text]).toEqual([name, expect.stringContaining(part)]);
    },
  );

  it('have a name each, and no runbook without an alert is left', () => {
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
    expect(runbook.match(/^## Rejoinder\w+$/gm)).toEqual(names.map((name) => `## ${name}`));
  });

  it('are the same for the Prometheus operator', () => {
    const [rule] = manifestsIn(`${HERE}/operator/prometheus-rule.yaml`);
    expect([rule?.apiVersion, rule?.kind]).toEqual(['monitoring.coreos.com/v1', 'PrometheusRule']);
    expect(rule?.['spec']).toEqual(rules);
  });
});

describe('the dashboard', () => {
  it.each(panels.map((panel) => [panel.title, panel]))('"%s" uses existing metrics', (_, panel) => {
    expect(panel.targets.flatMap(({ expr }: { expr: string }) => faultsOfExpression(expr))).toEqual([]);
    expect(panel.description).toBeTruthy();
  });

  it('shows every metric of the service', () => {
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }: { expr: string }) => expr)).join('\n');
    expect(Object.keys(METRICS).filter((name) => name.startsWith('rejoinder_') && !asked.includes(name))).toEqual([]);
  });

  it('has no overlapping panels', () => {
    const taken = new Set<string>();
    for (const { gridPos } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`)).toBe(false);
          taken.add(`${x},${y}`);
        }
      }
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    }
  });
});

describe('what watches', () => {
  it('takes the dashboard and the alerts from the files that Compose mounts', () => {
    expect(generatedConfigMaps(HERE).flatMap(({ keys }) => keys)).toEqual(['alerts.yml', 'rejoinder.json']);
    expect(looseEndsOf(HERE, ['prometheus.yml', 'alertmanager.yml', 'otel-collector.yml'])).toEqual([]);
  });

  it('finds all containers of an app by its name in docker-compose.yml', () => {
    const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true });
    const { scrape_configs, rule_files } = parse(readFileSync(`${HERE}/prometheus.yml`, 'utf8'));
    for (const { dns_sd_configs } of scrape_configs) expect(services).toHaveProperty(dns_sd_configs[0].names[0]);
    expect(services.prometheus.volumes).toContain(`./deploy/monitoring/alerts.yml:${rule_files[0]}:ro`);
    const { datasources } = parse(readFileSync(`${HERE}/grafana/datasources.yml`, 'utf8'));
    expect(services).toHaveProperty(new URL(datasources[0].url).hostname);
  });

  it('sends the alerts to an Alertmanager that names only existing receivers and alerts', () => {
    const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true });
    const { alerting } = parse(readFileSync(`${HERE}/prometheus.yml`, 'utf8'));
    const [host, port] = alerting.alertmanagers[0].static_configs[0].targets[0].split(':');
    expect(services[host].ports).toEqual([`127.0.0.1:${port}:${port}`]);
    expect(services[host].profiles).toEqual(services.prometheus.profiles);
    const names = new Set(alerts.map(({ alert }) => alert));
    const severities = new Set(alerts.map(({ labels }) => labels.severity));
    const judge = (config: any): void => {
      const receivers = config.receivers.map(({ name }: { name: string }) => name);
      const routes = [config.route, ...(config.route.routes ?? [])];
      for (const { receiver } of routes) expect(receivers).toContain(receiver);
      const rules: any[] = config.inhibit_rules ?? [];
      const matchers = [...routes, ...rules].flatMap((one) =>
        [one.matchers, one.source_matchers, one.target_matchers].flatMap((some: string[] | undefined) => some ?? []),
      );
      for (const matcher of matchers) {
        const [, label, values = ''] = /^(alertname|severity)=~?"([\w|]+)"$/.exec(matcher) ?? [];
        for (const value of values.split('|')) {
          expect([matcher, (label === 'severity' ? severities : names).has(value)]).toEqual([matcher, true]);
        }
      }
    };
    const [config = ''] = /\$\{ALERTMANAGER_CONFIG:-\.\/([^}]+)\}/.exec(services[host].volumes[0])?.slice(1) ?? [];
    judge(parse(readFileSync(config, 'utf8')));
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(runbook) ?? [];
    judge(parse(example));
  });

  it('sends traces through a collector whose every part is defined', () => {
    const { service, ...defined } = parse(readFileSync(`${HERE}/otel-collector.yml`, 'utf8'));
    for (const pipeline of Object.values<Record<string, string[]>>(service.pipelines)) {
      for (const [kind, names] of Object.entries(pipeline)) {
        for (const name of names) expect(defined[kind]).toHaveProperty(name);
      }
    }
  });
});
