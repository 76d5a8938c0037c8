import { existsSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

/** Where `npm start` says that its service is. */
const ADDRESS = `${process.env['DATA_DIR'] ?? '.data'}/address`;

/** The page as it is served: no inline code or styles, so that a strict Content-Security-Policy holds; names carry a hash. */
export default defineConfig({
  root: import.meta.dirname,
  // The page may be served below a path of a proxy.
  base: './',
  logLevel: 'warn',
  // `npm run playground` serves only the page; the service is the one that `npm start` runs. It must see the page's own
  // Host, or it would give it no tokens.
  server: {
    proxy: {
      '^/(api|docs|openapi.yaml|health|playground)(/|$)': {
        target:
          process.env['API'] ?? (existsSync(ADDRESS) ? readFileSync(ADDRESS, 'utf8').trim() : 'http://127.0.0.1:3000'),
        changeOrigin: false,
      },
    },
  },
  build: {
    outDir: '../../dist/apps/playground',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
});
