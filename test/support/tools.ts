import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Stack } from './stack.js';

/** The secret that signs calls, for stacks with tools. */
export const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;

/** A call of a tool, as the server received it. */
export interface ToolRequest {
  readonly name: string;
  readonly callId: string;
  readonly input: Record<string, unknown>;
}

/** Answers a call; undefined: it answers by itself. */
export type ToolAnswer = (request: ToolRequest, response: ServerResponse, incoming: IncomingMessage) => unknown;

/** A server of tools, which keeps every call that it received. */
export interface Tools {
  readonly url: string;
  readonly requests: ToolRequest[];
  /** How many requests have ended before they had an answer. */
  readonly aborted: () => number;
  /** Sets how a tool answers. A tool without an answer gives `NAME done`. */
  answer(name: string, answer: ToolAnswer): void;
  stop(): Promise<void>;
}

/** Starts a server of tools. */
export async function startTools(): Promise<Tools> {
  const requests: ToolRequest[] = [];
  const answers = new Map<string, ToolAnswer>();
  let aborted = 0;
  const server = createServer((incoming, response) => {
    response.on('close', () => (aborted += response.writableFinished ? 0 : 1));
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        call_id: string;
        name: string;
        input: Record<string, unknown>;
      };
      const request = { name: body.name, callId: body.call_id, input: body.input };
      requests.push(request);
      void (async () => {
        const result = await (answers.get(body.name) ?? (() => `${body.name} done`))(request, response, incoming);
        if (result === undefined) return;
        response.setHeader('content-type', typeof result === 'string' ? 'text/plain' : 'application/json');
        response.end(typeof result === 'string' ? result : JSON.stringify(result));
      })();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    aborted: () => aborted,
    answer: (name, answer) => void answers.set(name, answer),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The settings of a tool that a test need not name. */
const USUAL = {
  description: 'A tool for tests.',
  input_schema: { type: 'object', properties: { order_id: { type: 'string' } } },
  approval: 'never',
  result_max_bytes: 65_536,
};

/** A tool that a worker runs with `POST`. */
export const httpTool = (tools: Tools, name: string, settings: object = {}): object => ({
  name,
  run: 'http',
  url: `${tools.url}/${name}`,
  headers: {},
  repeatable: false,
  timeout_seconds: 30,
  ...USUAL,
  ...settings,
});

/** A tool of the front-end. */
export const clientTool = (name: string, settings: object = {}): object => ({
  name,
  run: 'client',
  ...USUAL,
  ...settings,
});

/** The shipped assistants file with tools for `support`, for stacks whose APIs start again. @returns the path of the new file */
export async function assistantsWith(
  tools: readonly object[],
  settings: object = {},
  mcpServers: object = {},
  top: object = {},
): Promise<string> {
  const shipped = parse(await readFile('assistants.yaml', 'utf8')) as { assistants: { slug: string }[] };
  const assistants = shipped.assistants.map((one) => (one.slug === 'support' ? { ...one, tools, ...settings } : one));
  const path = join(await mkdtemp(join(tmpdir(), 'rejoinder-assistants-')), 'assistants.yaml');
  await writeFile(path, stringify({ ...top, mcp_servers: mcpServers, assistants }));
  return path;
}

/** The texts of an assistant that a test need not choose. */
const TEXTS = { description: 'D', system_prompt: 'You are an assistant.', welcome_message: 'Hello!' };

/** Writes an assistants file with these assistants, by slug, and other fields at its top. @returns its path */
export async function assistantsFile(settings: Readonly<Record<string, object>>, top: object = {}): Promise<string> {
  const assistants = Object.entries(settings).map(([slug, more]) => ({
    slug,
    name: slug,
    ...TEXTS,
    model: 'claude-sonnet-5-5',
    ...more,
  }));
  const path = join(await mkdtemp(join(tmpdir(), 'rejoinder-assistants-')), 'assistants.yaml');
  await writeFile(path, stringify({ ...top, assistants }));
  return path;
}

/** Gives an assistant its tools, as its next version. An API that starts loads the file again, and takes them away. */
export async function giveTools(
  stack: Stack,
  slug: string,
  tools: readonly object[],
  settings: { maxSteps?: number; actionSeconds?: number } = {},
): Promise<void> {
  await stack.database.query(
    'UPDATE assistants SET tools = $2, max_steps = $3, action_seconds = $4, version = version + 1 WHERE slug = $1',
    [slug, JSON.stringify(tools), settings.maxSteps ?? 16, settings.actionSeconds ?? 86_400],
  );
}
