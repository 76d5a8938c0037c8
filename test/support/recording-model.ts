import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** The certificate of a {@link RecordingModel} with TLS, for `model.example`. */
export const MODEL_CERTIFICATE = 'test/support/tls/model-cert.pem';

/** A request, as it came. */
export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const EVENTS = [
  { type: 'message_start', message: { id: 'msg_1', model: 'm', usage: { input_tokens: 1, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'recorded' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
  { type: 'message_stop' },
];

/** The events of a whole reply, as they are sent. */
export const REPLY = EVENTS.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);

/** A server of the Messages API that records requests and answers every call with the same short reply. */
export class RecordingModel {
  /** The calls of the model. */
  readonly requests: Recorded[] = [];
  /** Questions about models, from the check of the assistants. This server does not answer them. */
  readonly questions: Recorded[] = [];

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  /** `secure`: it speaks TLS. `answer`: how it answers, if not with the reply. */
  static async start({
    secure = false,
    answer,
  }: { secure?: boolean; answer?: RequestListener } = {}): Promise<RecordingModel> {
    const tls = { key: readFileSync('test/support/tls/model-key.pem'), cert: readFileSync(MODEL_CERTIFICATE) };
    const server = secure ? createSecureServer(tls) : createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const model = new RecordingModel(server, (server.address() as AddressInfo).port);
    server.on('request', (request, response) => {
      const { method = '', url: path = '', headers } = request;
      const kept = method === 'GET' ? model.questions : model.requests;
      kept.push({ method, path, headers: headers as Record<string, string> });
      request.resume();
      if (method === 'GET') return response.writeHead(404).end();
      if (answer !== undefined) return answer(request, response);
      response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_1' }).end(REPLY.join(''));
    });
    return model;
  }

  /** The server's address without a proxy. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
