/** A short text that PostgreSQL can store. */
export function label(value: unknown, longest = 200): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
    .replaceAll('\0', '')
    .slice(0, longest)
    .toWellFormed();
}
