import { type App, startProcess } from './processes.js';

/** A call the stand-in model saw. */
export interface SeenCall {
  readonly id: string;
  /** The `request-id` header of the answer. */
  readonly request_id: string;
  readonly model: string;
  readonly system: unknown;
  /** Null for all but the newest calls. */
  readonly messages: { role: string; content: unknown }[];
  /** The end of what the user said last, of 200 characters at most. */
  readonly asked: string;
  /** As they were sent. */
  readonly thinking?: unknown;
  readonly output_config?: unknown;
  readonly stream: boolean;
  readonly max_tokens: number;
  readonly thinking?: unknown;
  readonly output_config?: unknown;
  readonly outcome: string;
  readonly received_at: string;
  readonly ended_at: string | null;
  readonly output_tokens: number;
}

/** The stand-in model as a process, and its control API. */
export class ModelStub {
  private constructor(private readonly app: App) {}

  /** Starts one; on a given port when somebody expects it there. */
  static async start(port = 0): Promise<ModelStub> {
    const env = { MODEL_STUB_DELAY_MS: '0', MODEL_STUB_PORT: String(port) };
    return new ModelStub(await startProcess('model-stub', env));
  }

  get url(): string {
    return this.app.url;
  }

  /** How to answer turns whose text contains `match`, `times` times (for ever when left out). */
  async script(match: string, script: object, times?: number): Promise<void> {
    await this.control('POST', '/control/scripts', { match, script, ...(times !== undefined && { times }) });
  }

  /** From here on all calls are answered as usual. */
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

  /** Says nothing more to anybody, until it is thawed. */
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
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}
