import { inBrowser } from './storage';
import { Store } from './store';

/** How a reply is watched: as a stream, or by polling its job. */
export type Mode = 'stream' | 'poll';
export type Theme = 'system' | 'light' | 'dark';

export const mode = kept<Mode>('mode', ['stream', 'poll']);
export const theme = kept<Theme>('theme', ['system', 'light', 'dark']);
export const inspector = kept<'open' | 'closed'>('inspector', ['open', 'closed']);

applyTheme();
theme.subscribe(applyTheme);

/** A preference and its possible values. The first is the default. */
function kept<T extends string>(name: string, values: readonly [T, ...T[]]): Store<T> {
  const store = new Store<T>(values.find((value) => value === inBrowser.get(name)) ?? values[0]);
  store.subscribe(() => inBrowser.set(name, store.get()));
  return store;
}

function applyTheme(): void {
  const chosen = theme.get();
  if (chosen === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen;
}
