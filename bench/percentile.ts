/** The smallest of `values` that a `share` of them does not exceed. 1 gives the largest; without values the result is NaN. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
