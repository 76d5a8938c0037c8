/** The path of operators' operations. */
export const ADMIN_PREFIX = '/api/v1/admin';

/**
 * Whether a path belongs to operators. All other callers must get the answer of a path that does not exist. So no other check may answer
 * before the token is checked.
 */
export function isHidden(path: string): boolean {
  return path === ADMIN_PREFIX || path.startsWith(`${ADMIN_PREFIX}/`);
}
