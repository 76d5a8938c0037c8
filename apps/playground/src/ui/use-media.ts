import { useEffect, useState } from 'preact/hooks';

/** Too narrow for the rail beside the chat. */
export const NARROW = '(max-width: 759px)';

/** Too narrow for the inspector beside the chat. */
export const NO_INSPECTOR = '(max-width: 1119px)';

export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const listen = (): void => setMatches(list.matches);
    listen();
    list.addEventListener('change', listen);
    return () => list.removeEventListener('change', listen);
  }, [query]);
  return matches;
}
