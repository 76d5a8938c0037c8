/** The path of operators' operations. */
export const ADMIN_PREFIX = '/api/v1/admin';

/**
 * Whether a path belongs to operators. For everybody else it must answer like a path that does not exist, so nothing may be answered before
 * the token is checked.
 */
export function isHidden(path: string): boolean {
  return path === ADMIN_PREFIX || path.startsWith(`${ADMIN_PREFIX}/`);
}
