/** The smallest of `values` that so large a `share` of them does not exceed; 1 gives the largest, and 0 is said of none at all. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
