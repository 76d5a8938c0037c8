import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

const importOutside = new vm.Script('(url) => import(url)', {
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext() as (url: string) => Promise<unknown>;

/**
 * Imports a built module by its path as Node does without Jest: once for the process. Jest evaluates each module anew for each test file.
 * Use it for modules that are slow to load and keep no state of a test. Their `Array` and `Error` are not the test's.
 */
export async function outside<T>(path: string): Promise<T> {
  return (await importOutside(pathToFileURL(path).href)) as T;
}
