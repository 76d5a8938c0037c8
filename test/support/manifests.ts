import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

/** A Kubernetes object as written in a file. */
export interface Manifest {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [key: string]: any };
  readonly [key: string]: any;
}

interface Kustomization {
  readonly resources?: string[];
  readonly patches?: { path: string }[];
  readonly configMapGenerator?: { name: string; files: string[] }[];
}

/** The objects of all files of a kustomization, including the directories that it lists. */
export function manifestsOf(directory: string): Manifest[] {
  return (kustomizationOf(directory).resources ?? []).flatMap((entry) =>
    /\.ya?ml$/.test(entry) ? manifestsIn(join(directory, entry)) : manifestsOf(join(directory, entry)),
  );
}

/** The objects of one file. */
export function manifestsIn(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(file, 'utf8'), { uniqueKeys: true }).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors.join()}`);
    return { file, ...(document.toJS() as Omit<Manifest, 'file'>) } as Manifest;
  });
}

/** The ConfigMaps that a kustomization makes, with the keys they have. */
export function generatedConfigMaps(directory: string): { name: string; keys: string[] }[] {
  return (kustomizationOf(directory).configMapGenerator ?? []).map(({ name, files }) => ({
    name,
    keys: files.map((file) => file.split('/').at(-1) ?? ''),
  }));
}

/** Files that a kustomization names but that do not exist, and YAML files beside it that it does not name. */
export function looseEndsOf(directory: string, notForIt: readonly string[] = []): string[] {
  const { resources = [], patches = [], configMapGenerator = [] } = kustomizationOf(directory);
  const named = [...resources, ...patches.map(({ path }) => path), ...configMapGenerator.flatMap(({ files }) => files)];
  const missing = named.filter((name) => !existsSync(join(directory, name)));
  const unnamed = readdirSync(directory).filter(
    (name) => /\.ya?ml$/.test(name) && name !== 'kustomization.yaml' && ![...named, ...notForIt].includes(name),
  );
  return [...missing.map((name) => `${name} is not there`), ...unnamed.map((name) => `${name} is not listed`)];
}

function kustomizationOf(directory: string): Kustomization {
  return parse(readFileSync(join(directory, 'kustomization.yaml'), 'utf8')) as Kustomization;
}
