import { buildOnce } from './build/build-once.js';
import { client } from './build/client.js';
import { page } from './build/page.js';
import { programs } from './build/programs.js';

/* The last step of `npm run build`: builds what `tsc` does not. */
await buildOnce(page);
await buildOnce(programs);
await buildOnce(client);
