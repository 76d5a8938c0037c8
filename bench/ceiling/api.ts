import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import Fastify from 'fastify';
import pg from 'pg';
import { v7 as newId } from 'uuid';
import { QUEUE, queueConnection } from './queue.js';
import { ACCEPT, OPEN_CHAT, PAGE, READ_JOB } from './statements.js';

/* The ceiling's API: the least code that answers the same requests with the same bodies. `x-user` names the user; nothing is checked. */

const PAGE_LENGTH = 50;

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });
const queue = new Queue(QUEUE, {
  connection: queueConnection(),
  defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
});
const waiting = new Map<string, () => void>();
const listener = new pg.Client(process.env['DATABASE_URL']);
await listener.connect();
listener.on('notification', ({ payload = '' }) => waiting.get(payload)?.());
await listener.query('LISTEN ceiling');

/** Prepared, like the product's statements. */
const query = async (name: string, text: string, values: unknown[]): Promise<any[]> =>
  (await pool.query({ name, text, values })).rows;

type Message = Record<string, unknown>;

/** A message's row, which may also bring its chat. */
const present = ({ chat: _chat, model, stop_reason, input_tokens, output_tokens, ...message }: Message): Message =>
  message['role'] === 'assistant'
    ? { ...message, model, stop_reason, usage: { input_tokens, output_tokens } }
    : message;

const pageOf = (rows: any[]) => {
  const shown = rows.slice(0, PAGE_LENGTH).reverse();
  return {
    data: shown.map(present),
    has_more: rows.length > PAGE_LENGTH,
    before: String(shown[0]?.seq),
    after: String(shown.at(-1)?.seq),
  };
};

const readJob = async (id: string, user: string): Promise<any> => {
  const [job] = await query('job', READ_JOB, [id, user]);
  return { ...job, assistant_message: job.assistant_message && present(job.assistant_message) };
};

const fastify = Fastify();
fastify.post<any>('/api/v1/assistants/:slug/chats', async ({ params, headers }) => {
  const values = [String(headers['x-user']), (params as { slug: string }).slug, PAGE_LENGTH + 1];
  const rows = await query('chat', OPEN_CHAT, values);
  const { chat } = rows[0];
  const { data, has_more } = pageOf(rows);
  return { ...chat, messages: data, has_more };
});
fastify.get<any>('/api/v1/chats/:id/messages', async ({ params, headers }, reply) => {
  const values = [(params as { id: string }).id, String(headers['x-user']), PAGE_LENGTH + 1];
  const body = JSON.stringify(pageOf(await query('page', PAGE, values)));
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  void reply.header('etag', etag).type('application/json; charset=utf-8');
  return headers['if-none-match'] === etag ? reply.status(304).send() : body;
});
fastify.get<any>('/api/v1/jobs/:id', async ({ params, headers }) =>
  readJob((params as { id: string }).id, String(headers['x-user'])),
);
fastify.post<any>('/api/v1/chats/:id/turns', async ({ params, headers, body, id: requestId }, reply) => {
  const user = String(headers['x-user']);
  const jobId = newId();
  const done = new Promise<void>((resolve) => waiting.set(jobId, resolve));
  const messageId = newId();
  const content = (body as { user_message: string }).user_message;
  const chatId = (params as { id: string }).id;
  const [row] = await query('accept', ACCEPT, [chatId, user, messageId, content, jobId, requestId]);
  const { seq, message_created_at, ...job } = row;
  await queue.add('reply', { jobId }, { jobId });
  if (headers['prefer'] === 'respond-async') {
    waiting.delete(jobId);
    return reply.status(202).send({ ...job, assistant_message: null, error: null });
  }
  await done;
  waiting.delete(jobId);
  const { assistant_message } = await readJob(jobId, user);
  return {
    user_message: { id: messageId, chat_id: chatId, seq, role: 'user', content, created_at: message_created_at },
    assistant_message,
    job_id: jobId,
  };
});
console.log(JSON.stringify({ listening: await fastify.listen({ port: 0, host: '127.0.0.1' }) }));
process.once('SIGTERM', () => process.exit(0));
