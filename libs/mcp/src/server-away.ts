/**
 * An MCP server that gave no usable answer. The message is a plain sentence of ours. It holds no address, no header and no words of the
 * server, so logs and the model may see it.
 */
export class McpServerAway extends Error {
  /** Whether the request may have reached the server, so that it may have had its effect. */
  readonly mayHaveRun: boolean;
  /** Whether the same request may succeed a moment later. */
  readonly temporary: boolean;
  /** The server does not know the connection's session (any more); the request has not run. */
  readonly forgotten: boolean;

  constructor(
    message: string,
    { mayHaveRun = false, temporary = false, forgotten = false }: Partial<Omit<McpServerAway, keyof Error>> = {},
  ) {
    super(message);
    this.name = 'McpServerAway';
    this.mayHaveRun = mayHaveRun;
    this.temporary = temporary;
    this.forgotten = forgotten;
  }
}

/** A server's answer that is an error of the protocol (JSON-RPC), for instance because it has no such tool. The message is the server's. */
export class McpRefusal extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
    this.name = 'McpRefusal';
  }
}

/** A server that wants something of its client that we never give: a person's input, a call of a model, a task that goes on. */
export class McpWish extends Error {
  constructor(readonly wish: string) {
    super(`The server asks for ${wish}, which is not offered here.`);
    this.name = 'McpWish';
  }
}
