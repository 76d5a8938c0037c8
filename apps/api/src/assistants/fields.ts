import { textFault } from '#contract/text.js';
import { type Faults, isShowable, type Path } from './faults.js';

/** No price and no budget is larger, in any currency. */
const LARGEST_AMOUNT = 1_000_000_000;

/** A mapping of the file. Each method reads one field; if the field is wrong, it adds a fault and returns what keeps the check going. */
export class Fields {
  private constructor(
    readonly values: Readonly<Record<string, unknown>>,
    readonly path: Path,
    readonly faults: Faults,
  ) {}

  /** @returns undefined: the value is no mapping, and the fault is added */
  static of(value: unknown, path: Path, faults: Faults): Fields | undefined {
    if (isMapping(value)) return new Fields(value, path, faults);
    faults.add(path, 'must be a mapping');
    return undefined;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  fault(name: string, words: string): void {
    this.faults.add([...this.path, name], words);
  }

  /** A text that is not blank. */
  text(name: string, max: number): string {
    const value = this.values[name];
    const fault = textFault(value, 1, max);
    if (fault !== undefined) this.fault(name, fault);
    return value as string;
  }

  /** A whole number. Left out, it is `fallback`; without a fallback it must not be left out. */
  integer(name: string, min: number, max: number, fallback?: number): number {
    const value = this.values[name] ?? fallback;
    const fits = Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
    if (!fits) this.fault(name, `must be a whole number from ${min} to ${max}`);
    return value as number;
  }

  /** An amount of money. */
  amount(name: string): number {
    const value = this.values[name];
    const fits = typeof value === 'number' && value > 0 && value <= LARGEST_AMOUNT;
    if (!fits) this.fault(name, `must be a number above 0, and at most ${LARGEST_AMOUNT}`);
    return value as number;
  }

  /** A price, which may be 0. Left out, it is `fallback`; without a fallback it must not be left out. */
  price(name: string, fallback?: number): number {
    const value = this.values[name] === undefined ? fallback : this.values[name];
    const fits = typeof value === 'number' && value >= 0 && value <= LARGEST_AMOUNT;
    if (!fits) this.fault(name, `must be a number from 0 to ${LARGEST_AMOUNT}`);
    return value as number;
  }

  /** One of these words. Left out, it is `fallback`; without a fallback it must not be left out. */
  choice<T extends string>(name: string, words: readonly T[], fallback?: T): T {
    const value = this.values[name] === undefined ? fallback : this.values[name];
    if (!words.includes(value as T)) this.fault(name, `must be ${listed(words)}`);
    return value as T;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.values[name] === undefined ? fallback : this.values[name];
    if (typeof value !== 'boolean') this.fault(name, 'must be true or false');
    return value as boolean;
  }

  /** A list; empty if it is left out. */
  list(name: string, most: number): readonly unknown[] {
    const value = this.values[name] === undefined ? [] : this.values[name];
    if (!Array.isArray(value)) this.fault(name, 'must be a list');
    else if (value.length > most) this.fault(name, `must have at most ${most} entries`);
    else return value as unknown[];
    return [];
  }

  /** Adds a fault for each field with another name. */
  only(known: readonly string[]): void {
    for (const name of Object.keys(this.values)) {
      if (known.includes(name)) continue;
      if (isShowable(name)) this.fault(name, 'is not known');
      else this.fault(name, 'is no name of a field');
    }
  }
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `a, b or c` */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
