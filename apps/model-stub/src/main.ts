import { startModelStub } from './server.js';

/* A stand-in for a model, for development without a key and for tests. It speaks the Messages API, and no model answers. */
const stub = await startModelStub({
  port: Number(process.env['MODEL_STUB_PORT'] ?? 0),
  pieceDelayMs: Number(process.env['MODEL_STUB_DELAY_MS'] ?? 15),
});
console.log(JSON.stringify({ listening: stub.url }));
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void stub.close().then(() => process.exit(0)));
