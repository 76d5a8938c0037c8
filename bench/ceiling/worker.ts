import Anthropic from '@anthropic-ai/sdk';
import { Worker } from 'bullmq';
import pg from 'pg';
import { v7 as newId } from 'uuid';
import { QUEUE, queueConnection } from './queue.js';
import { CLAIM, FINISH } from './statements.js';

/* The ceiling's worker: the least code that turns a ticket of BullMQ into an assistant's message. Any fault loses the turn. */

const CONCURRENCY = 50;

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });
const model = new Anthropic({ maxRetries: 0 });

async function reply({ data: { jobId } }: { data: { jobId: string } }): Promise<void> {
  const { rows } = await pool.query({ name: 'claim', text: CLAIM, values: [jobId] });
  const { system_prompt, model: name, max_output_tokens, messages } = rows[0];
  const events = await model.messages.create({
    model: name,
    max_tokens: max_output_tokens,
    system: system_prompt,
    messages,
    stream: true,
  });
  let [text, id, input, output] = ['', '', 0, 0];
  for await (const event of events) {
    if (event.type === 'message_start') [id, input] = [event.message.id, event.message.usage.input_tokens];
    else if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text;
    else if (event.type === 'message_delta') output = event.usage.output_tokens;
  }
  await pool.query({ name: 'finish', text: FINISH, values: [jobId, newId(), text, name, input, output, id] });
}

const worker = new Worker(QUEUE, reply, { connection: queueConnection(), concurrency: CONCURRENCY });
worker.on('error', (error) => console.error(error));
await worker.waitUntilReady();
console.log(JSON.stringify({ listening: 'http://the.queue' }));
process.once('SIGTERM', () => process.exit(0));
