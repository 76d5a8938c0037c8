/** What the browser keeps for the page; where it keeps nothing (private windows), the page works all the same. */
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
      // Full, or not allowed.
    }
  }
}

/** Kept until the tab is closed: the token, what is being typed. */
export const inTab = new Kept(() => sessionStorage);

/** Kept for the next visit: a name, preferences. */
export const inBrowser = new Kept(() => localStorage);
