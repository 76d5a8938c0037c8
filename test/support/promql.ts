import { parser } from '@prometheus-io/lezer-promql';
import { seriesLabels } from './metrics.js';

/**
 * Faults of a PromQL expression: Prometheus' own grammar refuses it, or it names a series that is not among the promised metrics, or a
 * label that its series do not have. The expression may hold Grafana's variables.
 */
export function faultsOfExpression(expression: string): string[] {
  const text = expression.replaceAll('$__rate_interval', '5m');
  const faults: string[] = [];
  const series: string[] = [];
  const labels: string[] = [];
  parser.parse(text).iterate({
    enter: (node) => {
      const what = text.slice(node.from, node.to);
      if (node.type.isError) faults.push(`does not parse at ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') series.push(/^[\w:]*/.exec(what)?.[0] ?? '');
      if (node.name === 'LabelName') labels.push(what);
    },
  });
  if (series.length === 0) faults.push(`asks for nothing: ${text}`);
  const known = new Set<string>();
  for (const name of series) {
    const theirs = seriesLabels(name);
    if (theirs === undefined) faults.push(`asks for ${name || 'a series without a name'}, which nobody promises`);
    for (const label of theirs ?? []) known.add(label);
  }
  for (const label of labels)
    if (!known.has(label)) faults.push(`asks for the label ${label}, which is on none of its series`);
  return faults;
}
