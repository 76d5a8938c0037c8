import type { Report } from './report.js';

/** More digits would be noise. */
const DIGITS = 5;

/** The report as JSON. */
export function asJson(report: Report): string {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  return `${JSON.stringify(report, rounded, 2)}\n`;
}
