import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

const importOutside = new vm.Script('(url) => import(url)', {
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext() as (url: string) => Promise<unknown>;

/**
 * Imports a built module by its path as Node does without Jest: once for the process, where Jest evaluates each module anew for each test
 * file. It is for modules that are dear to load and keep nothing of a test. What they make are other `Array`s and `Error`s than the test's.
 */
export async function outside<T>(path: string): Promise<T> {
  return (await importOutside(pathToFileURL(path).href)) as T;
}
