import type { Report } from './report.js';

/** More than that is noise. */
const DIGITS = 5;

/** The report as JSON, as the project's files are written. */
export function asJson(report: Report): string {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  return `${JSON.stringify(report, rounded, 2)}\n`;
}
