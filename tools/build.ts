import { buildOnce } from './build/build-once.js';
import { client } from './build/client.js';
import { page } from './build/page.js';
import { programs } from './build/programs.js';

/* What `tsc` alone does not make: the last step of `npm run build`. */
await buildOnce(page);
await buildOnce(programs);
await buildOnce(client);
