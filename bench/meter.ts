import { readdir, readFile } from 'node:fs/promises';

/** The processes of one part of a side: one process, or PostgreSQL with its sessions. */
export interface Part {
  readonly name: string;
  readonly pid: number;
  readonly withChildren?: boolean;
}

/** USER_HZ, which Linux has fixed for programs. */
const TICKS_A_SECOND = 100;

/** Seconds of processor time that each part has used so far, by its name. Empty where the system has no /proc. */
export async function cpuSeconds(parts: readonly Part[]): Promise<Record<string, number>> {
  const all = await statistics();
  const used = parts.flatMap((part) => {
    const theirs = ofPart(part, all);
    if (theirs.length === 0) return [];
    // The parent counts the time of sessions that have ended.
    const ticks = theirs.reduce((sum, one) => sum + one.ticks + (one.pid === part.pid ? one.endedTicks : 0), 0);
    return [[part.name, ticks / TICKS_A_SECOND]];
  });
  return Object.fromEntries(used) as Record<string, number>;
}

/**
 * The memory of each part, in MB: the resident memory of a single process, or the proportional shares of several, because PostgreSQL's
 * sessions share most of theirs.
 */
export async function memoryMb(parts: readonly Part[]): Promise<Record<string, number>> {
  const all = await statistics();
  const used: [string, number][] = [];
  for (const part of parts) {
    const field = part.withChildren === true ? 'Pss' : 'Rss';
    let kb = 0;
    for (const { pid } of ofPart(part, all)) {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
      kb += Number(new RegExp(`^${field}: +(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
    }
    if (kb > 0) used.push([part.name, Math.round(kb / 1024)]);
  }
  return Object.fromEntries(used);
}

interface Statistics {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  /** The ticks of its children that have ended. */
  readonly endedTicks: number;
}

function ofPart({ pid, withChildren }: Part, all: readonly Statistics[]): Statistics[] {
  return all.filter((one) => one.pid === pid || (withChildren === true && one.parent === pid));
}

async function statistics(): Promise<Statistics[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')));
  return stats.filter((stat) => stat !== '').map(readStat);
}

/** A name may contain blanks and brackets, so the fields begin after the last bracket. See proc_pid_stat(5). */
function readStat(stat: string): Statistics {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid: parseInt(stat),
    parent: field(4),
    ticks: field(14) + field(15),
    endedTicks: field(16) + field(17),
  };
}
