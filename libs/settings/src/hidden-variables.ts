/**
 * Calls `make` while the environment's variables whose names begin with `prefix` are hidden, for a library that would read them by itself.
 * `make` must be synchronous: the variables are back as soon as it returns or throws.
 */
export function withoutVariables<T>(prefix: string, make: () => T, env: NodeJS.ProcessEnv = process.env): T {
  const hidden = Object.entries(env).filter(([name]) => name.startsWith(prefix));
  for (const [name] of hidden) delete env[name];
  try {
    return make();
  } finally {
    Object.assign(env, Object.fromEntries(hidden));
  }
}
