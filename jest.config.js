/**
 * Tests run as compiled: what is tested is what ships. `npm test` builds first and turns Node's own
 * ES modules on for Jest.
 * @type {import('jest').Config}
 */
export default {
  testEnvironment: 'node',
  rootDir: 'dist',
  testMatch: ['**/*.spec.js'],
  transform: {},
  globalSetup: './test/support/global-setup.js',
  globalTeardown: './test/support/global-teardown.js',
  testSequencer: './test/support/longest-first.js',
  // A bound for what hangs, not for what is slow: the machine may be busy with others' work.
  testTimeout: 120_000,
  // Each waits for half of its time and more, for what the service does by the clock: five keep two cores busy to the end.
  maxWorkers: 5,
  forceExit: false,
};
