/** The browser's storage. Without it (in private windows), the page works, but forgets. */
export class Kept {
  constructor(private readonly storage: () => Storage) {}

  get(name: string): string | undefined {
    try {
      return this.storage().getItem(`rejoinder:${name}`) ?? undefined;
    } catch {
      return undefined;
    }
  }

  set(name: string, value: string | undefined): void {
    try {
      if (value === undefined) this.storage().removeItem(`rejoinder:${name}`);
      else this.storage().setItem(`rejoinder:${name}`, value);
    } catch {
      // The storage is full or forbidden.
    }
  }
}

/** Kept until the tab is closed: the token and the drafts. */
export const inTab = new Kept(() => sessionStorage);

/** Kept for the next visit: a name, preferences. */
export const inBrowser = new Kept(() => localStorage);
