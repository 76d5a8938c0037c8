import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Webhook } from 'standardwebhooks';

/*
 * A server with the tools of a made-up shop. README.md says how it is started, and what to keep of it.
 */

/** Longest body of a request, in bytes. */
const LONGEST_BODY = 65_536;

/** How many answers of refunds are kept. A real shop keeps each in its database, in the transaction that makes the refund. */
const MOST_ANSWERS = 10_000;

/** The body of a request whose signature is verified. */
interface Call {
  readonly call_id: string;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

const orders = new Map([
  ['A-1001', { order: 'A-1001', item: 'Desk lamp', total: '39.00 EUR', status: 'delivered' }],
  ['A-1002', { order: 'A-1002', item: 'Office chair', total: '189.00 EUR', status: 'on its way' }],
  ['A-1003', { order: 'A-1003', item: 'Bookshelf', total: '74.50 EUR', status: 'delivered' }],
]);

/** Answers by the id of their call: a call that comes again gets the same answer, and does nothing more. */
const refunds = new Map<string, Answer>();

const tools: Readonly<Record<string, (call: Call) => Answer>> = {
  find_order: ({ input }) => {
    const found = orderOf(input);
    return 'status' in found ? found : { status: 200, body: found.order };
  },

  refund_order: ({ call_id, input }) => {
    const kept = refunds.get(call_id);
    if (kept !== undefined) return kept;
    const answer = refund(input);
    refunds.set(call_id, answer);
    const [oldest] = refunds.keys();
    if (refunds.size > MOST_ANSWERS && oldest !== undefined) refunds.delete(oldest);
    return answer;
  },

  opening_hours: () => ({ status: 200, body: { monday_to_friday: '09:00-18:00', saturday: '10:00-14:00' } }),
};

function refund(input: Call['input']): Answer {
  const found = orderOf(input);
  if ('status' in found) return found;
  const { order, total, status } = found.order;
  if (status === 'refunded') return { status: 409, body: { error: `Order ${order} was refunded before.` } };
  found.order.status = 'refunded';
  return { status: 200, body: { refunded: order, amount: total } };
}

/** The order that the input names, or the answer that there is none. The model wrote the input: it may be anything. */
function orderOf({ order }: Call['input']): { order: { order: string; total: string; status: string } } | Answer {
  if (typeof order !== 'string') return { status: 400, body: { error: 'order must be a string, for instance A-1001' } };
  const found = orders.get(order);
  if (found === undefined) return { status: 404, body: { error: 'not found' } };
  return { order: found };
}

/**
 * Answers one request. The signature covers id, time and body, and neither the path nor `Idempotency-Key`. So the body decides which tool
 * runs, and its `call_id` which call it is: a request that somebody has recorded can only be repeated as it was.
 */
async function answerTo(request: IncomingMessage, webhooks: readonly Webhook[]): Promise<Answer> {
  if (request.method !== 'POST') return { status: 405, body: { error: 'only POST' } };
  const body = await bodyOf(request);
  if (body === undefined) return { status: 413, body: { error: `at most ${LONGEST_BODY} bytes` } };
  const headers = request.headers as Record<string, string>;
  if (!webhooks.some((webhook) => isSigned(webhook, body, headers))) {
    return { status: 401, body: { error: 'the signature is missing, wrong or older than five minutes' } };
  }
  const call = callOf(body);
  if (call === undefined || call.call_id !== headers['webhook-id']) return { status: 400, body: { error: 'no call' } };
  const tool = Object.hasOwn(tools, call.name) && request.url === `/${call.name}` ? tools[call.name] : undefined;
  return tool?.(call) ?? { status: 404, body: { error: 'no such tool' } };
}

function isSigned(webhook: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    webhook.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

/** The body; undefined if it is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.byteLength;
    if (length > LONGEST_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function callOf(body: string): Call | undefined {
  try {
    const { call_id, name, input } = JSON.parse(body) as Partial<Call>;
    if (typeof call_id !== 'string' || typeof name !== 'string') return undefined;
    return typeof input === 'object' && input !== null ? { call_id, name, input } : undefined;
  } catch {
    return undefined;
  }
}

/** Serves the tools to whoever signs with one of the secrets. */
function serve(secrets: readonly string[]): Server {
  const webhooks = secrets.map((secret) => new Webhook(secret));
  const server = createServer((request, response) => {
    answerTo(request, webhooks).then(
      ({ status, body }) => {
        // The rest of a body that is too long is not read.
        if (status === 413) response.setHeader('connection', 'close');
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      },
      () => response.destroy(),
    );
  });
  server.requestTimeout = 10_000;
  return server;
}

const secrets = process.env['TOOLS_SECRET']?.trim().split(/\s+/) ?? [''];
if (secrets.includes('')) {
  console.error('TOOLS_SECRET is not set: it must be the one of the API and the workers.');
  process.exit(1);
}
const server = serve(secrets).listen(Number(process.env['TOOL_SERVER_PORT'] ?? 4010), '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  console.log(`The example tools are at http://127.0.0.1:${port}`);
});
process.once('SIGTERM', () => server.close());
