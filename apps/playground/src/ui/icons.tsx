import type { JSX } from 'preact';

const PATHS = {
  menu: 'M4 7h16M4 12h16M4 17h10',
  close: 'm6 6 12 12M18 6 6 18',
  send: 'M12 19V5m0 0-6 6m6-6 6 6',
  stop: 'M8 8h8v8H8z',
  down: 'M12 5v14m0 0 6-6m-6 6-6-6',
  panel: 'M4 5h16v14H4zM15 5v14',
  archive: 'M4 5h16v4H4zM5.5 9v10h13V9M10 13h4',
  reopen: 'M4 12a8 8 0 1 1 2.6 5.9M4 19v-5h5',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  pencil: 'M5 19l.8-3.8L16 5l3 3L8.8 18.2z',
  plus: 'M12 5v14M5 12h14',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20a7.5 7.5 0 0 1 15 0',
  external: 'M14 5h5v5M19 5l-8 8M11 6H5v13h13v-6',
  alert: 'M12 8v5m0 3.2v.1M12 3.5 2.8 19.5h18.4z',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7.5V12l3 2',
  hand: 'M8 12V6.5a1.5 1.5 0 0 1 3 0V11m0-6a1.5 1.5 0 0 1 3 0v6m0-4.5a1.5 1.5 0 0 1 3 0V14a6 6 0 0 1-6 6h-.6a6 6 0 0 1-4.5-2.1L3.6 15a1.4 1.4 0 0 1 2-1.9L8 15',
  no: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM5.8 5.8l12.4 12.4',
  minus: 'M6 12h12',
  chevron: 'm9 6 6 6-6 6',
  dots: 'M5 12h.01M12 12h.01M19 12h.01',
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing beside words, or inside a labelled control. It is hidden from screen readers. */
export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The logo: a word that turns back as an answer. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="9" />
      <path class="mark-asked" d="M9 10.5h8.5a5 5 0 0 1 5 5" />
      <path d="M22.5 15.5a5 5 0 0 1-5 5H9.6m0 0 3.6-3.4m-3.6 3.4 3.6 3.4" />
    </svg>
  );
}
