/*
 * Loaded into each part before its own code. The channel to the parent closes when the parent ends, even by SIGKILL. The part then stops as
 * after SIGTERM, so that no process is left behind.
 */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
