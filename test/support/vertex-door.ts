import type { ServerResponse } from 'node:http';
import { type Answer, ProviderDoor, type Seen } from './provider-door.js';

/** `google.rpc.Code` by the status of the Messages API. */
const ERRORS: Readonly<Record<number, readonly [status: number, name: string]>> = {
  401: [401, 'UNAUTHENTICATED'],
  403: [403, 'PERMISSION_DENIED'],
  404: [404, 'NOT_FOUND'],
  429: [429, 'RESOURCE_EXHAUSTED'],
  500: [500, 'INTERNAL'],
  503: [503, 'UNAVAILABLE'],
  529: [503, 'UNAVAILABLE'],
};

export interface VertexOptions {
  readonly project: string;
  readonly region: string;
}

/**
 * Vertex AI's wire before a server of the Messages API: `streamRawPredict`, with access tokens of Google. It is also the metadata server
 * that gives them, as on a machine of Google Cloud.
 */
export class VertexDoor extends ProviderDoor {
  /** The access tokens that it gave, and takes. */
  readonly tokens: string[] = [];
  /** The metadata server is not there (yet). */
  withoutMetadata = false;

  private constructor(
    private readonly options: VertexOptions,
    model: string,
  ) {
    super(model);
  }

  /** `model`: the address of the server of the Messages API. */
  static async start(model: string, options: VertexOptions): Promise<VertexDoor> {
    const door = new VertexDoor(options, model);
    await door.listen();
    return door;
  }

  /** The environment of a machine of Google Cloud. */
  get environment(): Record<string, string> {
    return { GCE_METADATA_HOST: `127.0.0.1:${this.port}`, METADATA_SERVER_DETECTION: 'ping-only' };
  }

  /** The calls of the model. */
  get calls(): Seen[] {
    return this.seen.filter(({ method }) => method === 'POST');
  }

  protected open(seen: Seen): { model: string; body: object } | Answer {
    if (seen.url.startsWith('/computeMetadata/v1/')) return this.metadata(seen);
    const { project, region } = this.options;
    const form = new RegExp(
      `^/v1/projects/${project}/locations/${region}/publishers/anthropic/models/([^/]+):streamRawPredict$`,
    );
    const [, model] = form.exec(seen.url) ?? [];
    if (seen.method !== 'POST' || model === undefined)
      return { status: 404, headers: { 'content-type': 'text/html' }, body: '<title>Error 404 (Not Found)</title>' };
    if (!this.tokens.some((token) => seen.headers.authorization === `Bearer ${token}`))
      return error(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    const { anthropic_version, ...body } = JSON.parse(seen.body.toString()) as Record<string, unknown>;
    if (typeof anthropic_version !== 'string')
      return error(400, 'INVALID_ARGUMENT', 'anthropic_version: Field required');
    if ('model' in body || body['stream'] !== true)
      return error(400, 'INVALID_ARGUMENT', 'model: Extra inputs are not permitted');
    return { model: decodeURIComponent(model), body };
  }

  protected refuse(status: number, { type, message }: { type: string; message: string }): Answer {
    const known = ERRORS[status];
    if (known !== undefined) return error(...known, message);
    // What the model itself refuses comes through as it is.
    return {
      status,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'error', error: { type, message } }),
    };
  }

  protected begin(response: ServerResponse): (chunk: Buffer) => void {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'request-id': 'req_vrtx_1' });
    response.flushHeaders();
    return (chunk) => void response.write(chunk);
  }

  private metadata({ url }: Seen): Answer {
    const headers = { 'metadata-flavor': 'Google', 'content-type': 'application/json' };
    if (this.withoutMetadata) return { status: 404, headers: {}, body: '' };
    if (!url.includes('/token')) return { status: 200, headers, body: '{}' };
    const token = `ya29.canary-${this.tokens.length}`;
    this.tokens.push(token);
    return {
      status: 200,
      headers,
      body: JSON.stringify({ access_token: token, expires_in: 3_600, token_type: 'Bearer' }),
    };
  }
}

/** The endpoint for streams wraps errors in a list. */
function error(code: number, status: string, message: string): Answer {
  return {
    status: code,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ error: { code, message, status } }]),
  };
}
