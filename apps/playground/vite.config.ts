import { existsSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

/** The file in which `npm start` leaves its address. */
const ADDRESS = `${process.env['DATA_DIR'] ?? '.data'}/address`;

/** Builds the page without inline code or styles, because its Content-Security-Policy is strict. File names carry a hash. */
export default defineConfig({
  root: import.meta.dirname,
  // A proxy may serve the page below a path.
  base: './',
  // `npm run playground` serves only the page; `npm start` runs the service. The service must get the page's own Host header, or it gives
  // the page no tokens.
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
