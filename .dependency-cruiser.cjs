/** Dependencies point one way: apps → libs. Each rule says why. */
module.exports = {
  forbidden: [
    {
      name: 'libs-know-no-app',
      comment: 'A library that reaches into an app can serve only that app: it belongs there.',
      severity: 'error',
      from: { path: '^dist/libs' },
      to: { path: '^dist/(apps|tools|test)' },
    },
    {
      name: 'apps-know-not-each-other',
      comment: 'The apps run and scale apart; what both need is a library.',
      severity: 'error',
      from: { path: '^dist/apps/([^/]+)/' },
      to: { path: '^dist/(apps|tools|test)/', pathNot: '^dist/apps/$1/' },
    },
    {
      name: 'only-the-worker-knows-the-model',
      comment: 'The API answers without a model key; nothing there may call the model.',
      severity: 'error',
      from: { path: '^dist/', pathNot: '^dist/apps/worker/' },
      to: { path: '@anthropic-ai/sdk' },
    },
    {
      name: 'one-library-knows-the-mcp-client',
      comment: 'It is loaded late, and its own transport has no bounds: libs/mcp sees to both.',
      severity: 'error',
      from: { path: '^dist/', pathNot: '^dist/libs/mcp/' },
      to: { path: '@modelcontextprotocol/client' },
    },
    {
      name: 'the-stand-in-stands-alone',
      comment: 'The stand-in model must not pass because it shares code with what it stands in for.',
      severity: 'error',
      from: { path: '^dist/apps/model-stub/' },
      to: { path: '^(dist/libs|node_modules)', pathNot: '@jest' },
    },
    {
      name: 'the-worker-dispatches-attempts-that-call-the-model',
      comment:
        'dispatch → attempt → model: an attempt that calls back into dispatch, or a model that knows of attempts, is a knot.',
      severity: 'error',
      from: { path: '^dist/apps/worker/src/(attempt|model)/' },
      to: { path: '^dist/apps/worker/src/(dispatch|reconciler)/' },
    },
    {
      name: 'the-model-knows-no-attempt',
      comment: 'The same: what the model needs of an attempt is handed to it.',
      severity: 'error',
      from: { path: '^dist/apps/worker/src/model/' },
      to: { path: '^dist/apps/worker/src/attempt/' },
    },
    {
      name: 'no-circles',
      comment: 'Files that import one another cannot be understood apart.',
      severity: 'error',
      from: { path: '^dist/' },
      to: { circular: true },
    },
    {
      name: 'no-circles-of-folders',
      comment:
        'Folders that import one another are one folder with two names: neither can be understood or moved without the other. ' +
        'Imports of types alone are not seen here, since tsc leaves them out.',
      severity: 'error',
      scope: 'folder',
      from: { path: '^dist/(apps|libs)/' },
      to: { circular: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.(d\\.ts|map)$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
