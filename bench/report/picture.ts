import type { Measured } from '../measure.js';
import { type Report, STORE_NAMES, type StoreReport } from './report.js';

/*
 * A picture of the ratios, as SVG: a bar for each operation, a mark for the goal, and a thin line from the lowest to the highest pair of
 * rounds. It has its own background, because both light and dark pages show it.
 */

const WIDTH = 880;
const ROW = 26;
const TITLE = 44;
const LEFT = 220;
/** The position of ratio 1: the ceiling. */
const ONE = 600;
/** Higher ratios are drawn up to here. */
const MOST = 1.15;

const x = (ratio: number): number => Math.round(LEFT + Math.min(ratio, MOST) * (ONE - LEFT));

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const text = (atX: number, atY: number, kind: string, content: string): string =>
  `<text x="${atX}" y="${atY}" class="${kind}">${escaped(content)}</text>`;

function row({ name, goal, ratio, ratios, rejoinder, ceiling }: Measured, top: number): string[] {
  const middle = top + ROW / 2;
  const label = text(12, middle + 4, 'name', name);
  const about = 675;
  if (ratio === null) return [label, text(LEFT, middle + 4, 'missed', 'no ratio: there were errors')];
  const reached = ratio >= goal ? 'reached' : 'missed';
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  return [
    label,
    `<rect x="${LEFT}" y="${top + 5}" width="${x(ratio) - LEFT}" height="${ROW - 10}" class="${reached}"/>`,
    `<line x1="${x(low)}" y1="${middle}" x2="${x(high)}" y2="${middle}" class="range"/>`,
    `<line x1="${x(goal)}" y1="${top + 2}" x2="${x(goal)}" y2="${top + ROW - 2}" class="goal"/>`,
    text(
      about,
      middle + 4,
      'name',
      `${ratio.toFixed(2)}   ${rejoinder.perSecond.toFixed(0)}/s of ${ceiling.perSecond.toFixed(0)}/s`,
    ),
  ];
}

function store({ store: name, operations }: StoreReport, top: number): string[] {
  const bottom = top + TITLE + operations.length * ROW;
  return [
    text(12, top + 28, 'title', `Queue on ${STORE_NAMES[name]}`),
    text(ONE - 26, top + 28, 'note', 'ceiling'),
    ...operations.flatMap((operation, n) => row(operation, top + TITLE + n * ROW)),
    `<line x1="${ONE}" y1="${top + TITLE - 8}" x2="${ONE}" y2="${bottom}" class="ceiling"/>`,
  ];
}

/** The picture. Its text changes only when a figure does. */
export function asPicture(report: Report): string {
  let top = 0;
  const parts = report.stores.flatMap((one) => {
    const drawn = store(one, top);
    top += TITLE + one.operations.length * ROW + 8;
    return drawn;
  });
  const { cores, cpu } = report.machine;
  const note = `Operations a second against the ceiling's; the mark is the goal. ${cores} cores of ${cpu}, Node ${report.versions['node']}, commit ${report.commit}`;
  const height = top + 34;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>Rejoinder beside a bare ceiling</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; white-space: pre }
.title { font-weight: 600; font-size: 15px }
.note { font-size: 11px; fill: #57606a }
.reached { fill: #2f8f5b }
.missed { fill: #c9822b }
.range { stroke: #24292f; stroke-width: 1.5; opacity: .55 }
.goal { stroke: #24292f; stroke-width: 2 }
.ceiling { stroke: #57606a; stroke-dasharray: 4 3 }
</style>
<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>
${parts.join('\n')}
${text(12, top + 20, 'note', note)}
</svg>
`;
}
