import { listOf, runByName } from './by-name.js';
import { TASKS } from './dev/tasks.js';

/* `npm run dev -- TASK …`: one npm script for all tasks that people do not run daily. */

const list = `npm run dev -- TASK: what developers run now and then\n\n${listOf('dev', TASKS)}`;
const args = process.argv.slice(2);

if (args[0] === undefined || args[0] === '--help') console.log(list);
else await runByName('dev', TASKS, list, args);
