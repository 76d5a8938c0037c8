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
  // Each waits for a third of its time and starts several processes: more of them keep two cores no busier, and each other waiting.
  maxWorkers: 3,
  forceExit: false,
};
