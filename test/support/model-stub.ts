import type { AccountState } from '../../apps/model-stub/src/account.js';
import { type App, startProcess } from './processes.js';
import { send } from './send.js';
import { anyPort } from './steady-port.js';

/** A call that the stand-in saw. */
export interface SeenCall {
  readonly id: string;
  /** The `request-id` header of the answer. */
  readonly request_id: string;
  readonly model: string;
  readonly system: unknown;
  /** Null for all but the newest calls. */
  readonly messages: { role: string; content: unknown }[];
  /** The end of the user's last message, at most 200 characters. */
  readonly asked: string;
  /** The call continues a paused answer. */
  readonly continues: boolean;
  /** The settings as the request had them. */
  readonly thinking?: unknown;
  readonly output_config?: unknown;
  readonly stop_sequences?: unknown;
  readonly tools?: unknown;
  readonly tool_choice?: unknown;
  readonly cache_control?: unknown;
  readonly metadata?: unknown;
  readonly stream: boolean;
  readonly max_tokens: number;
  readonly outcome: string;
  readonly received_at: string;
  readonly ended_at: string | null;
  readonly output_tokens: number;
  /** The cost of the call, whatever its end. */
  readonly billed: Billed;
}

/** The fields of a model that a test may change. Null: no limit, no moment. */
export interface ModelChanges {
  readonly max_input_tokens?: number | null;
  readonly max_tokens?: number | null;
  readonly lifecycle?: 'active' | 'deprecated' | 'retired';
  readonly deprecated_at?: string | null;
  readonly retires_at?: string | null;
}

/** The figures of a bill, in tokens; thoughts are in `output_tokens`. */
export interface Billed {
  readonly input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_write_5m_input_tokens: number;
  readonly cache_write_1h_input_tokens: number;
  readonly output_tokens: number;
  readonly thinking_tokens: number;
  readonly web_search_requests: number;
  readonly web_fetch_requests: number;
}

/** The bill of all calls, including those that the model refused (they cost nothing), that broke off, or that the worker gave up. */
export interface Bill {
  readonly calls: (Billed & Pick<SeenCall, 'id' | 'request_id' | 'model' | 'asked' | 'outcome' | 'received_at'>)[];
  readonly total: Billed;
}

/** The stand-in as a process, and its control API. */
export class ModelStub {
  constructor(readonly app: App) {}

  /** Starts a stand-in, on a given port if a client expects it there. */
  static async start(port?: number): Promise<ModelStub> {
    const env = { MODEL_STUB_DELAY_MS: '0', MODEL_STUB_PORT: String(port ?? (await anyPort())) };
    return new ModelStub(await startProcess('model-stub', env));
  }

  get url(): string {
    return this.app.url;
  }

  /** Scripts the answer to turns whose text contains `match`, `times` times (left out: for ever). */
  async script(match: string, script: object, times?: number): Promise<void> {
    await this.control('POST', '/control/scripts', { match, script, ...(times !== undefined && { times }) });
  }

  /** From now on all calls get the usual answers. */
  async clearScripts(): Promise<void> {
    await this.control('DELETE', '/control/scripts');
  }

  /** The calls whose last user message contains `text`, oldest first. */
  async calls(text: string): Promise<SeenCall[]> {
    const calls = await this.allCalls();
    return calls.filter((call) => JSON.stringify(call.messages?.at(-1)?.content ?? '').includes(text));
  }

  /** All calls, oldest first. */
  async allCalls(): Promise<SeenCall[]> {
    return ((await this.control('GET', '/control/calls')) as { calls: SeenCall[] }).calls;
  }

  /** Sets the state of the account: `ok`, `bad_key`, `no_credit` and others. */
  async account(state: AccountState): Promise<void> {
    await this.control('POST', '/control/account', { state });
  }

  /** Changes a model, or adds one. Without a name all models are reset. */
  async models(id?: string, changes?: ModelChanges): Promise<void> {
    if (id === undefined) await this.control('DELETE', '/control/models');
    else await this.control('POST', '/control/models', { id, ...changes });
  }

  /** The bill so far. */
  async bill(): Promise<Bill> {
    return (await this.control('GET', '/control/bill')) as Bill;
  }

  /** Moves the clock of the prompt cache forward, by milliseconds. */
  async pass(ms: number): Promise<void> {
    await this.control('POST', '/control/clock', { ms });
  }

  /** Forgets all prompts. */
  async clearCache(): Promise<void> {
    await this.control('DELETE', '/control/cache');
  }

  /** Makes the stand-in as it was at its start, except for its clock. */
  async reset(): Promise<void> {
    for (const what of ['scripts', 'models', 'cache', 'calls']) await this.control('DELETE', `/control/${what}`);
    await this.account('ok');
  }

  /** Freezes the stand-in, which answers nothing until it is thawed. */
  freeze(): void {
    this.app.freeze();
  }

  thaw(): void {
    this.app.thaw();
  }

  async stop(): Promise<void> {
    await this.app.stop();
  }

  private async control(method: string, path: string, body?: object): Promise<unknown> {
    const { status, text } = await send(`${this.url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}
