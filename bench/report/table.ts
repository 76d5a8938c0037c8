import type { Asker } from '../count/counter.js';
import type { Counts } from '../count/operations.js';
import type { Figures, Measured } from '../measure.js';
import type { Report, StoreReport } from './report.js';
import { STORE_NAMES } from './report.js';

/** Rows of cells, the heading first. */
type Table = readonly (readonly string[])[];

const PARTS = ['api', 'worker', 'postgres', 'redis'] as const;
const PART_NAMES = { api: 'API', worker: 'worker', postgres: 'PostgreSQL', redis: 'Redis' } as const;

/** The figures of a side's parts, in a fixed order. */
function perPart(values: Readonly<Record<string, number>>, digits: number): string {
  return PARTS.filter((part) => values[part] !== undefined)
    .map((part) => (values[part] ?? NaN).toFixed(digits))
    .join(' / ');
}

/** The names of the parts, in the same order. */
function partsOf(values: Readonly<Record<string, number>>): string {
  return PARTS.filter((part) => values[part] !== undefined)
    .map((part) => PART_NAMES[part])
    .join(' / ');
}

/** The ratio, and those of its lowest and highest pairs of rounds. */
export function ratioInWords({ ratio, ratios }: Measured): string {
  if (ratio === null) return 'none: errors';
  return `${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`;
}

function operationsTable({ operations }: StoreReport): Table {
  const parts = partsOf(operations[0]?.rejoinder.cpuMs ?? {});
  const row = (
    name: string,
    side: string,
    { perSecond, p50, p99, cpuMs, memoryMb }: Figures,
    [ratio, cpuRatio]: readonly [string, string],
  ) => [
    name,
    side,
    perSecond.toFixed(0),
    p50.toFixed(1),
    p99.toFixed(1),
    ratio,
    cpuRatio,
    perPart(cpuMs, 2),
    perPart(memoryMb, 0),
  ];
  return [
    ['operation', 'side', '/s', 'p50 ms', 'p99 ms', 'ratio', 'by CPU', `CPU ms each: ${parts}`, 'memory MB'],
    ...operations.flatMap((measured) => [
      row(measured.name, 'Rejoinder', measured.rejoinder, [
        ratioInWords(measured),
        measured.cpuRatio?.toFixed(2) ?? '',
      ]),
      row('', 'ceiling', measured.ceiling, [`goal ${measured.goal}`, '']),
    ]),
  ];
}

/** A count: without decimals when it is whole. */
const often = (count: number): string => (Number.isInteger(count) ? String(count) : count.toFixed(2));

function countsTable({ store, counts }: StoreReport): Table {
  const onRedis = store === 'redis';
  const cells = ({ each, batches }: Counts) => {
    const queue = (asker: Asker): string =>
      onRedis && batches[asker].queue !== each[asker].queue
        ? `${often(each[asker].queue)} in ${often(batches[asker].queue)}`
        : often(each[asker].queue);
    const sql = (asker: Asker): number => each[asker].sql + (onRedis ? 0 : each[asker].feed + each[asker].queue);
    return [
      often(each.api.sql),
      often(each.worker.sql),
      queue('api'),
      queue('worker'),
      often(each.api.feed + each.worker.feed),
      often(sql('api') + sql('worker')),
    ];
  };
  return [
    [
      'for one operation',
      'side',
      'SQL, API',
      'SQL, worker',
      `queue${onRedis ? ' (commands)' : ''}, API`,
      `queue${onRedis ? ' (commands)' : ''}, worker`,
      'feed',
      'round trips to PostgreSQL',
    ],
    ...counts.rejoinder.flatMap((ours, n) => {
      const theirs = counts.ceiling[n];
      return [
        [ours.name, 'Rejoinder', ...cells(ours)],
        ...(theirs === undefined ? [] : [['', 'ceiling', ...cells(theirs)]]),
      ];
    }),
  ];
}

/** The tables of one store: title, and rows of cells. */
function tablesOf(report: StoreReport): { title: string; table: Table }[] {
  const name = STORE_NAMES[report.store];
  return [
    { title: `Queue on ${name}`, table: operationsTable(report) },
    { title: `Requests to the stores, queue on ${name}`, table: countsTable(report) },
  ];
}

function faultsOf({ operations }: StoreReport): string[] {
  return operations.flatMap(({ name, rejoinder, ceiling }) =>
    Object.entries({ Rejoinder: rejoinder, 'the ceiling': ceiling })
      .filter(([, { errors }]) => errors > 0)
      .map(([side, { errors, fault }]) => `${name}: ${errors} errors of ${side}, the first: ${fault ?? 'unknown'}`),
  );
}

function idle({ idleMb }: StoreReport): string {
  const { rejoinder, ceiling } = idleMb;
  return `Memory before the first request, MB (${partsOf(rejoinder)}): ${perPart(rejoinder, 0)}; the ceiling ${perPart(ceiling, 0)}.`;
}

/** How many goals are reached, and which are not. */
export function goalsInWords(stores: readonly StoreReport[]): string {
  const all = stores.flatMap(({ store, operations }) => operations.map((operation) => ({ store, ...operation })));
  const missed = all.filter(({ ratio, goal }) => ratio === null || ratio < goal);
  const names = missed.map(({ name, store }) => `${name} (${STORE_NAMES[store]})`);
  return `Goals reached: ${all.length - missed.length} of ${all.length}.${missed.length > 0 ? ` Not: ${names.join(', ')}.` : ''}`;
}

/** For a terminal: columns side by side. */
export function asText(report: StoreReport): string {
  const tables = tablesOf(report).map(({ title, table }) => {
    const widths = (table[0] ?? []).map((_, n) => Math.max(...table.map((row) => (row[n] ?? '').length)));
    const lines = table.map((row) =>
      row
        .map((cell, n) => cell.padEnd(widths[n] ?? 0))
        .join('  ')
        .trimEnd(),
    );
    return `\n${title}\n${lines.join('\n')}`;
  });
  return [...tables, idle(report), ...faultsOf(report)].join('\n');
}

/** The same for the docs. */
export function asMarkdown(report: Report): string {
  const { machine, versions, stores } = report;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const settings = Object.entries(stores[0]?.postgres ?? {}).map(([name, value]) => `\`${name}\` ${value}`);
  const intro = [
    `\`${report.command}\`, ${report.date.slice(0, 10)}, commit \`${report.commit}\`: ${report.rounds} pairs of rounds of ` +
      `${report.ms / 1_000} s for each operation, ${Math.round(report.seconds / 60)} minutes in all.`,
    `${machine.cores} cores of ${machine.cpu}, ${Math.round(machine.memoryMb / 1024)} GB, ${machine.system}; ` +
      `${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}; PostgreSQL: ${settings.join(', ')}.`,
    ...report.missing.map((what) => `Not measured: ${what}`),
    goalsInWords(stores),
  ];
  const sections = stores.flatMap((store) => [
    ...tablesOf(store).map(({ title, table: [heading = [], ...rows] }) =>
      [`#### ${title}`, '', line(heading), line(heading.map(() => '---')), ...rows.map(line)].join('\n'),
    ),
    idle(store),
    ...faultsOf(store),
  ]);
  return [...intro, ...sections].join('\n\n');
}
