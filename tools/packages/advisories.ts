/** The known advisories of the packages that ship. */
export interface Judgement {
  /** `unchecked`: the registry serves no advisories, or cannot be reached. */
  readonly verdict: 'none' | 'known' | 'unchecked';
  /** One advisory a line. */
  readonly lines: readonly string[];
}

/** Advisories of these severities must be fixed. Others are only printed. */
const IN_THE_WAY = new Set(['high', 'critical']);

/** Network errors, by code: no registry was reached. */
const NETWORK = /^E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|NETUNREACH)$/;

type Json = Record<string, unknown>;

/**
 * Judges the output of `npm audit --json` (report version 2). @throws Error when it is neither a report nor a refusal to make one, because
 * then this check is broken
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

/** An advisory's title. A package that is affected through another one names that instead. */
function titleOf({ via }: Json): string {
  const titles = (Array.isArray(via) ? (via as unknown[]) : []).map((one) =>
    typeof one === 'string' ? `by way of ${one}` : String((one as Json)['title']),
  );
  return titles.length === 0 ? '' : ` (${titles.join('; ')})`;
}
