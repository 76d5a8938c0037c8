/** A package in `package-lock.json`. */
interface Locked {
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
}

/** The fields of the two files that are checked. */
export interface Lock {
  readonly packages: Readonly<Record<string, Locked>>;
}
export interface Manifest {
  readonly allowScripts?: Readonly<Record<string, boolean>>;
}

const FOLDER = 'node_modules/';

/**
 * The faults of a lock file: a package without a hash, a package from an address outside the registry, and an install script that
 * `allowScripts` does not decide on.
 */
export function faultsOfLock({ packages }: Lock, { allowScripts = {} }: Manifest): string[] {
  const faults: string[] = [];
  const scripts = new Set<string>();
  for (const [path, { integrity, resolved, link, inBundle, hasInstallScript }] of Object.entries(packages)) {
    if (!path.includes(FOLDER) || link === true) continue;
    const name = path.slice(path.lastIndexOf(FOLDER) + FOLDER.length);
    if (inBundle !== true && integrity?.startsWith('sha512-') !== true)
      faults.push(`${path}: its bytes are not pinned`);
    if (resolved !== undefined) faults.push(`${path}: it comes from an address of its own`);
    if (hasInstallScript === true) scripts.add(name);
  }
  for (const name of scripts) {
    if (allowScripts[name] === undefined)
      faults.push(`${name}: its install script is not in allowScripts of package.json`);
  }
  for (const name of Object.keys(allowScripts)) {
    if (!scripts.has(name)) faults.push(`${name}: in allowScripts of package.json, and has no install script`);
  }
  return faults;
}
