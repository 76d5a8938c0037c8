/** A metric's type and labels. */
export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
}

const gauge = (...labels: string[]): Metric => ({ type: 'gauge', labels });
const counter = (...labels: string[]): Metric => ({ type: 'counter', labels });
const histogram = (...labels: string[]): Metric => ({ type: 'histogram', labels });

/** The metrics of API and workers that alerts and dashboards may use. Their names and labels are a promise to operators. */
export const METRICS: Readonly<Record<string, Metric>> = {
  rejoinder_http_request_duration_seconds: histogram('method', 'route', 'status'),
  rejoinder_http_open_streams: gauge(),
  rejoinder_turn_first_text_seconds: histogram('assistant'),
  rejoinder_turn_duration_seconds: histogram('assistant', 'status'),
  rejoinder_turn_wait_seconds: histogram('assistant'),
  // Read from the database, so every API reports the same: use `max`, not `sum`.
  rejoinder_queue_jobs: gauge('state'),
  rejoinder_queue_oldest_seconds: gauge(),
  rejoinder_running_attempts: gauge(),
  rejoinder_worker_slots: gauge(),
  rejoinder_model_calls_total: counter('model', 'outcome'),
  rejoinder_model_call_duration_seconds: histogram('model', 'outcome'),
  rejoinder_model_tokens_total: counter('assistant', 'direction'),
  rejoinder_summaries_total: counter('assistant', 'outcome'),
  rejoinder_tool_calls_total: counter('assistant', 'tool', 'outcome'),
  rejoinder_tool_call_duration_seconds: histogram('assistant', 'tool', 'outcome'),
  rejoinder_turn_retries_total: counter('code'),
  rejoinder_reconciler_repairs_total: counter('kind'),
  rejoinder_circuit_open: gauge(),
  rejoinder_model_holds: gauge('code'),
  rejoinder_model_findings: gauge(),
  rejoinder_mcp_server_up: gauge('server'),
  rejoinder_database_pool_connections: gauge('state'),
  rejoinder_rate_limited_total: counter('limit'),
  // Read from the database: use `max`, not `sum`.
  rejoinder_assistant_budget_ratio: gauge('assistant'),
  rejoinder_build_info: gauge('version'),
  // Metrics of prom-client itself that alerts or dashboards use.
  nodejs_eventloop_lag_p99_seconds: gauge(),
  nodejs_eventloop_lag_max_seconds: gauge(),
  process_cpu_seconds_total: counter(),
  process_resident_memory_bytes: gauge(),
  process_start_time_seconds: gauge(),
};

/** Labels that Prometheus adds to every sample of a target, and to alerts. */
const ADDED = ['instance', 'job', 'alertname', 'alertstate'];

/** The labels that a time series of this name may have; undefined: it is not among the promised metrics. */
export function seriesLabels(series: string): readonly string[] | undefined {
  if (series === 'ALERTS') return ADDED;
  const part = /^(.*)_(bucket|sum|count)$/.exec(series);
  const of = part?.[1] === undefined ? undefined : METRICS[part[1]];
  if (of?.type === 'histogram') return [...of.labels, ...ADDED, ...(part?.[2] === 'bucket' ? ['le'] : [])];
  const metric = METRICS[series];
  // A histogram has no series of its own name.
  return metric === undefined || metric.type === 'histogram' ? undefined : [...metric.labels, ...ADDED];
}
