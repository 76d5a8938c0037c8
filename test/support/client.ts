import { join } from 'node:path';
import type { components } from '#contract/openapi.gen.js';
import { timeLimit } from '#process/time-limit.js';
import type { Exchange } from './contract.js';
import { outside } from './outside.js';
import { send } from './send.js';

type Schemas = components['schemas'];

export interface RequestOptions {
  readonly body?: unknown;
  /** Sent as it is, in place of `body` as JSON. */
  readonly raw?: string | Uint8Array;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** An answer. It was checked against the contract before a test sees it. */
export interface Answer<T = any> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
  /** The target of a reference in the answer (`Location`, `Link`): a path with its query. */
  readonly leads: (reference: string | null | undefined) => string;
}

/** The contract that every exchange is checked against. */
export const { contract } = await outside<typeof import('./shared-contract.js')>(
  join(import.meta.dirname, 'shared-contract.js'),
);

/** Operations with the statuses that they answered in this test file, as `getJob 200`. */
export const seen = new Set<string>();

/** Checks an exchange against the contract and notes it. @throws Error with every fault */
export function judge(exchange: Exchange): void {
  const faults = contract.faults(exchange);
  if (faults.length > 0) {
    const body = JSON.stringify(exchange.body)?.slice(0, 2000);
    throw new Error(`Not what the contract says:\n${faults.join('\n')}\n${body}`);
  }
  const id = contract.find(exchange.method, exchange.path)?.id;
  if (id !== undefined) seen.add(`${id} ${exchange.status}`);
}

/** A client of the API for one user. The contract must allow every exchange. */
export class Client {
  constructor(
    readonly url: string,
    readonly token: string | undefined,
    /** Sent with every request. */
    private readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  async request<T = any>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
    const address = new URL(path, this.url);
    const { status, headers, text } = await send(address, {
      method,
      headers: {
        ...this.headers,
        ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
        ...(options.body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body)),
      signal: options.signal ?? timeLimit(70_000).signal,
    });
    const isText = /^text\/|jsonl/.test(headers.get('content-type') ?? '');
    const body: unknown = text === '' ? undefined : isText ? text : JSON.parse(text);
    if (method !== 'HEAD' && method !== 'OPTIONS') {
      const { pathname, searchParams } = address;
      const sent = options.raw === undefined ? { query: searchParams, body: options.body } : undefined;
      judge({ method, path: pathname, status, headers, body, ...(sent && { sent }) });
    }
    const leads = (reference: string | null | undefined): string => {
      const { pathname, search } = new URL(reference ?? '', address);
      return pathname + search;
    };
    return { status, headers, body: body as T, leads };
  }

  get<T = any>(path: string, options?: RequestOptions): Promise<Answer<T>> {
    return this.request('GET', path, options);
  }

  post<T = any>(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('POST', path, { body, headers });
  }

  patch<T = any>(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('PATCH', path, { body, headers });
  }

  /** Opens the chat with an assistant. */
  async chat(assistant = 'support'): Promise<Schemas['OpenedChat']> {
    const { status, body } = await this.post<Schemas['OpenedChat']>(`/api/v1/assistants/${assistant}/chats`);
    if (status !== 200 && status !== 201)
      throw new Error(`expected 200 or 201, got ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  /** Sends a turn and waits for its answer, whatever it is. */
  turn(chatId: string, text: string, headers?: Record<string, string>): Promise<Answer> {
    return this.post(`/api/v1/chats/${chatId}/turns`, { user_message: text }, headers);
  }

  /** Sends a turn and does not wait for the reply. @returns the job */
  async turnAsync(chatId: string, text: string): Promise<Schemas['Job']> {
    const { status, body } = await this.turn(chatId, text, { prefer: 'respond-async' });
    if (status !== 202) throw new Error(`expected 202, got ${status}: ${JSON.stringify(body)}`);
    return body as Schemas['Job'];
  }

  /** The job once it is final. */
  async finalJob(jobId: string): Promise<Schemas['Job']> {
    for (;;) {
      const { status, body } = await this.get<Schemas['Job']>(`/api/v1/jobs/${jobId}`, {
        headers: { prefer: 'wait=20' },
      });
      if (status !== 200) throw new Error(`expected 200, got ${status}: ${JSON.stringify(body)}`);
      if (body.status !== 'queued' && body.status !== 'running') return body;
    }
  }
}
