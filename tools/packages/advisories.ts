/** What is known of the packages that ship. */
export interface Judgement {
  /** `unchecked`: whoever keeps the packages does not tell what is known of them. */
  readonly verdict: 'none' | 'known' | 'unchecked';
  /** In words, one advisory a line. */
  readonly lines: readonly string[];
}

/** As bad as this, an advisory is in the way; what is less so is told. */
const IN_THE_WAY = new Set(['high', 'critical']);

/** Faults of a network, by code: nobody was asked. */
const NETWORK = /^E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|NETUNREACH)$/;

type Json = Record<string, unknown>;

/**
 * Judges what `npm audit --json` printed (its report, version 2).
 * @throws Error when it is neither a report nor a refusal to make one: then something here is broken
 */
export function judgeAdvisories(printed: string): Judgement {
  const report = JSON.parse(printed) as Json;
  if (report['auditReportVersion'] !== 2) return unchecked(report);
  const found = Object.entries((report['vulnerabilities'] ?? {}) as Record<string, Json>).map(([name, about]) => ({
    line: `${String(about['severity'])}: ${name} ${String(about['range'])}${titleOf(about)}`,
    bad: IN_THE_WAY.has(String(about['severity'])),
  }));
  return {
    verdict: found.some(({ bad }) => bad) ? 'known' : 'none',
    lines: found.map(({ line }) => line),
  };
}

function unchecked({ statusCode, error }: Json): Judgement {
  const code = (error as Json | undefined)?.['code'];
  const refused = typeof statusCode === 'number' && statusCode >= 400;
  if (!refused && !(typeof code === 'string' && NETWORK.test(code)))
    throw new Error('npm audit could not do its work.');
  return {
    verdict: 'unchecked',
    lines: [`not checked: the registry serves no advisories (${String(statusCode ?? code)})`],
  };
}

/** An advisory says what it is about; a package that is there because of another names that one. */
function titleOf({ via }: Json): string {
  const titles = (Array.isArray(via) ? (via as unknown[]) : []).map((one) =>
    typeof one === 'string' ? `by way of ${one}` : String((one as Json)['title']),
  );
  return titles.length === 0 ? '' : ` (${titles.join('; ')})`;
}
