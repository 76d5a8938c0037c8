/** Where operators' operations are. */
export const ADMIN_PREFIX = '/api/v1/admin';

/**
 * Whether a path belongs to operators. To everybody else it must answer like one that does not exist, so nothing may be said about it
 * before it is known who asks.
 */
export function isHidden(path: string): boolean {
  return path === ADMIN_PREFIX || path.startsWith(`${ADMIN_PREFIX}/`);
}
