/** When a person must agree before a tool runs. */
export const APPROVALS = ['never', 'always'] as const;
export type Approval = (typeof APPROVALS)[number];

/** The fields of all tools that the model uses by a name and a schema of ours. */
interface NamedTool {
  /** The name that the model uses: `^[a-zA-Z0-9_-]{1,64}$`, once per assistant. */
  readonly name: string;
  readonly description: string;
  /** JSON Schema 2020-12 of the input; its type is an object. */
  readonly input_schema: Readonly<Record<string, unknown>>;
  readonly approval: Approval;
  /** Longest result that the model gets, in bytes of UTF-8. A longer one is cut, and says so. */
  readonly result_max_bytes: number;
}

/** The fields of tools that a worker runs by a request to another server. */
interface RemoteTool extends NamedTool {
  readonly url: string;
  /** Headers of the request. A value `env:NAME` stands for an environment variable; secrets never stand here themselves. */
  readonly headers: Readonly<Record<string, string>>;
  /** The tool may run twice with the same input, so it runs again if its outcome is not known. */
  readonly repeatable: boolean;
  /** Longest time of one call, in seconds. */
  readonly timeout_seconds: number;
}

/** A tool that a worker runs with `POST`. */
export interface HttpTool extends RemoteTool {
  readonly run: 'http';
}

/** A tool of an MCP server, as the server listed it when the assistant was loaded. */
export interface McpTool extends RemoteTool {
  readonly run: 'mcp';
  /** The server's name in `mcp_servers`. */
  readonly server: string;
  /** The tool's name on that server. */
  readonly tool: string;
}

/** A tool that the front-end runs; the job waits for its result. */
export interface ClientTool extends NamedTool {
  readonly run: 'client';
  /** JSON Schema of the result, which is JSON then; left out: the result is text. */
  readonly result_schema?: Readonly<Record<string, unknown>>;
}

/** A tool that the model's provider runs. All fields but `run` are sent as they are. */
export interface ProviderTool {
  readonly run: 'provider';
  /** A type of the Messages API, for instance `web_search_20260318`. */
  readonly type: string;
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** A tool that the model uses by a name and a schema of ours. */
export type OwnTool = HttpTool | McpTool | ClientTool;

/** A tool of an assistant, as its definition stores it. The fields have the names of `assistants.yaml`. */
export type Tool = OwnTool | ProviderTool;
