/** Metrics in the text format of Prometheus, by name and labels as written there. */
export type Figures = ReadonlyMap<string, number>;

/** Reads the metrics of a process. */
export async function metricsOf(url: string): Promise<Figures> {
  const response = await fetch(new URL('/metrics', url));
  if (response.status !== 200) throw new Error(`${url} has no metrics: ${response.status}`);
  return readMetrics(await response.text());
}

export function readMetrics(text: string): Figures {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

/** The address of an API's metrics, from its log. */
export function metricsUrl(output: string): string {
  const url = /(http:\/\/[^\s"]+\/metrics)/.exec(output)?.[1];
  if (url === undefined) throw new Error('The API does not say where its metrics are.');
  return url;
}
