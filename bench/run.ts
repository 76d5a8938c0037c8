import { listOf, runByName } from '../tools/by-name.js';
import { BENCHES } from './benches.js';
import { USAGE } from './options.js';

/* `npm run bench` measures the service; `npm run bench -- NAME …` runs another bench. docs/performance.md says how to read them. */

const list = `npm run bench -- NAME …: another bench\n\n${listOf('bench', BENCHES)}`;
const args = process.argv.slice(2);

if (args[0] === '--help') console.log(`${USAGE}\n\n${list}`);
else if (args[0] === undefined || args[0].startsWith('-')) await import('./service.js');
else await runByName('bench', BENCHES, list, args);
