/*
 * Loaded into each part before its own code. The channel to the parent closes when the parent ends, even by SIGKILL:
 * the part then stops as if it had been told to, so that no process is ever left behind.
 */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
