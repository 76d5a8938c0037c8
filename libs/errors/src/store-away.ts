/** PostgreSQL's classes and codes (appendix A) that describe its state, not our statement. */
const SQLSTATE = /^(08|28|53|57P|58)|^(3D000|57014|55P03|40001|40P01|25P03|25006)$/;
/** With the last two, the process has no file handle left for a connection. */
const SOCKET = new Set(
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EHOSTUNREACH EMFILE ENFILE'.split(' '),
);
/** Words of pg, and of TypeORM about a transaction that lost its connection between two statements. */
const PG_CLIENT =
  /connection terminated|timeout exceeded when trying to connect|timeout expired|client has encountered a connection error|not queryable|connection timeout|driver not connected|Cannot use a pool after calling end|already released/i;

/** Whether an error means that the database is away, overloaded or restarting. The same request may succeed later. */
export function isStoreAway(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code, severity, driverError } = at as { code?: unknown; severity?: unknown; driverError?: unknown };
    // The session ended or never began: the password is wrong, there is no such database, or it accepts no connections.
    if (severity === 'FATAL' || severity === 'PANIC') return true;
    if (typeof code === 'string' && (SQLSTATE.test(code) || SOCKET.has(code))) return true;
    if (PG_CLIENT.test(at.message)) return true;
    if (at instanceof AggregateError && at.errors.some(isStoreAway)) return true;
    at = driverError ?? at.cause;
  }
  return false;
}
