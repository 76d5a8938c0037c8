/**
 * Names a part of a reply by its kind and its number among those. A part keeps its name when another one comes to stand before it, and when
 * the reply moves into the history.
 */
export function partKey(parts: readonly { readonly kind: string }[], n: number): string {
  const kind = parts[n]?.kind ?? '';
  return `${kind} ${parts.slice(0, n).filter((part) => part.kind === kind).length}`;
}
