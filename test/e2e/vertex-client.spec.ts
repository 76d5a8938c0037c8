import { createVerify, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AnthropicVertex } from '@anthropic-ai/vertex-sdk';
import { publicAddress } from '#settings/model-provider.js';
import type { Settings } from '#settings/settings.js';
import { withEnv } from '../support/with-env.js';
import { classify } from '../../apps/worker/src/model/classify.js';
import { type CallOptions, clientOptions, createStream } from '../../apps/worker/src/model/messages-api.js';
import { modelClient } from '../../apps/worker/src/model/model-client.js';
import { vertexClient } from '../../apps/worker/src/model/vertex-sdk.js';

const PROVIDER = { name: 'vertex', region: 'europe-west1', project: 'example-project' } as const;
const MODEL = 'claude-sonnet-4-5@20250929';
const PATH = `/v1/projects/example-project/locations/europe-west1/publishers/anthropic/models/${MODEL}:streamRawPredict`;
const PARAMS = {
  model: MODEL,
  max_tokens: 1,
  messages: [{ role: 'user' as const, content: 'x' }],
  stream: true as const,
};

const EVENTS = ['message_start', 'ping', 'message_stop'].map((type) => `event: ${type}\ndata: {"type":"${type}"}\n\n`);

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

describe('the client of Vertex AI', () => {
  const servers: Server[] = [];
  const seen: Seen[] = [];
  let home: string;
  /** Nothing of the machine's own configuration: neither a file nor a metadata server. */
  let nothing: Record<string, string | undefined>;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-vertex-'));
    nothing = {
      GOOGLE_APPLICATION_CREDENTIALS: undefined,
      CLOUDSDK_CONFIG: home,
      HOME: home,
      GCE_METADATA_HOST: undefined,
      METADATA_SERVER_DETECTION: 'none',
    };
  });
  afterAll(() => rm(home, { recursive: true }));
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
    seen.length = 0;
  });

  const serve = async (answer: RequestListener): Promise<string> => {
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        seen.push({ method, url, headers, body });
        answer(request, response);
      });
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  /** A metadata server that gives tokens, or `status`; and the environment of its machine. */
  const metadata = async (status = 200): Promise<Record<string, string>> => {
    const host = await serve((request, response) => {
      response.writeHead(status, { 'metadata-flavor': 'Google', 'content-type': 'application/json' });
      const token = { access_token: 'ya29.canary', expires_in: 3_600, token_type: 'Bearer' };
      response.end(request.url?.includes('/token') ? JSON.stringify(token) : '{}');
    });
    return { GCE_METADATA_HOST: host, METADATA_SERVER_DETECTION: 'ping-only' };
  };
  const streams: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).end(EVENTS.join(''));
  };
  const settings = (host: string): Settings['model'] => ({
    provider: PROVIDER,
    apiKey: 'sk-ant-canary-qpxz',
    baseUrl: `http://${host}/v1`,
    idleMs: 60_000,
    totalMs: 60_000,
  });
  const ask = async (of: Settings['model'], options?: CallOptions, params: object = {}): Promise<string[]> => {
    const { stream } = await createStream(await modelClient(of), { ...PARAMS, ...params }, options);
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    return types;
  };
  const fault = (failing: Promise<unknown>) =>
    failing.then(
      () => 'no fault',
      (error: unknown) => classify(error),
    );
  const calls = (): Seen[] => seen.filter(({ method }) => method === 'POST');

  it('calls streamRawPredict with a token of the metadata server, which it asks for once', async () => {
    const host = await serve(streams);
    let heard = 0;
    await withEnv({ ...nothing, ...(await metadata()) }, async () => {
      const client = await modelClient(settings(host));
      const read = async (): Promise<void> => {
        const { stream } = await createStream(client, PARAMS, { onBytes: () => (heard += 1) });
        for await (const _ of stream);
      };
      await Promise.all([read(), read(), read()]);
      await read();
    });
    expect(seen.filter(({ url }) => url.includes('/token'))).toHaveLength(1);
    expect(heard).toBeGreaterThanOrEqual(4);
    expect(calls().map(({ url }) => url)).toEqual(Array(4).fill(PATH));
    const [{ headers, body } = {} as Seen] = calls();
    expect(headers).toMatchObject({ authorization: 'Bearer ya29.canary' });
    expect(JSON.parse(body)).toEqual({
      anthropic_version: expect.any(String),
      max_tokens: 1,
      messages: PARAMS.messages,
      stream: true,
    });
    expect(JSON.stringify([headers, body])).not.toMatch(/qpxz|x-api-key|anthropic-version/);
  });

  it('takes from the environment neither an address nor a key, nor headers; nor a proxy to the metadata server', async () => {
    const host = await serve(streams);
    const foreign = {
      ANTHROPIC_VERTEX_BASE_URL: 'http://127.0.0.1:1',
      ANTHROPIC_VERTEX_PROJECT_ID: 'qpxz',
      CLOUD_ML_REGION: 'qpxz',
      ANTHROPIC_API_KEY: 'qpxz',
      ANTHROPIC_AUTH_TOKEN: 'qpxz',
      ANTHROPIC_CUSTOM_HEADERS: 'authorization: Bearer qpxz\nx-canary: qpxz',
      HTTPS_PROXY: 'http://127.0.0.1:1',
      HTTP_PROXY: 'http://127.0.0.1:1',
    };
    await withEnv({ ...nothing, ...(await metadata()), ...foreign }, () => ask(settings(host)));
    expect(calls().map(({ url }) => url)).toEqual([PATH]);
    expect(JSON.stringify(calls())).not.toContain('qpxz');
  });

  it('gets a token for the key of a service account', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const file = join(home, 'key.json');
    const key = {
      type: 'service_account',
      project_id: 'another-project',
      client_email: 'worker@example-project.iam.gserviceaccount.com',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
    await writeFile(file, JSON.stringify(key));
    const host = await serve(streams);
    const asked: string[] = [];
    const credentialsFetch: typeof fetch = async (input, init) => {
      asked.push((input as URL).href);
      const [, assertion = ''] = /assertion=([\w.-]+)/.exec((init?.body as URLSearchParams).toString()) ?? [];
      const [head, payload, signature] = assertion.split('.') as [string, string, string];
      const verify = createVerify('RSA-SHA256').update(`${head}.${payload}`);
      expect(verify.verify(publicKey, Buffer.from(signature, 'base64url'))).toBe(true);
      expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({ iss: key.client_email });
      return Response.json({ access_token: 'ya29.of-the-account', expires_in: 3_600, token_type: 'Bearer' });
    };
    await withEnv({ ...nothing, GOOGLE_APPLICATION_CREDENTIALS: file }, async () => {
      const options = { options: clientOptions(settings(host)), baseUrl: `http://${host}/v1`, credentialsFetch };
      const client = vertexClient(
        { ...options, noCredentials: (cause) => cause as Error },
        PROVIDER.region,
        PROVIDER.project,
      );
      for await (const _ of (await createStream(client, PARAMS)).stream);
    });
    expect(asked).toEqual(['https://oauth2.googleapis.com/token']);
    expect(calls()).toMatchObject([{ url: PATH, headers: { authorization: 'Bearer ya29.of-the-account' } }]);
  });

  it('has the public addresses that the settings know', async () => {
    const authClient = {} as never;
    for (const region of ['global', 'us', 'eu', 'europe-west1']) {
      const { baseURL } = await withEnv({ ANTHROPIC_VERTEX_BASE_URL: undefined }, async () => {
        return new AnthropicVertex({ region, projectId: 'p', authClient });
      });
      expect(publicAddress({ name: 'vertex', region, project: 'p' })).toBe(baseURL);
    }
  });

  it('without credentials is an operator’s to mend, and finds them when they are there', async () => {
    const host = await serve(streams);
    const client = await modelClient(settings(host));
    const missing = await withEnv(nothing, () => fault(createStream(client, PARAMS)));
    expect(missing).toMatchObject({ code: 'model_unauthorized', operator: 'all', outage: false });
    expect(missing).toMatchObject({
      cause: { message: expect.stringContaining('Could not load the default credentials') },
    });
    // A metadata server that was not ready at first.
    const late = await withEnv({ ...nothing, ...(await metadata(404)) }, () => fault(createStream(client, PARAMS)));
    expect(late).toMatchObject({ code: 'model_unauthorized' });
    expect(calls()).toEqual([]);
    const ready = { ...nothing, ...(await metadata()) };
    expect((await withEnv(ready, () => createStream(client, PARAMS))).response.status).toBe(200);
  });

  it('is stopped at once while it waits for credentials', async () => {
    const silent = await serve(() => undefined);
    const controller = new AbortController();
    await withEnv({ ...nothing, GCE_METADATA_HOST: silent, METADATA_SERVER_DETECTION: 'assume-present' }, async () => {
      const client = await modelClient(settings(silent));
      const call = createStream(client, PARAMS, { signal: controller.signal });
      await Promise.race([call.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 50))]);
      const begun = performance.now();
      controller.abort();
      await expect(call).rejects.toMatchObject({ name: 'APIUserAbortError' });
      expect(performance.now() - begun).toBeLessThan(500);
    });
  });

  it('gives an error of Google its meaning', async () => {
    const host = await serve((_, response) => {
      response.writeHead(429, { 'content-type': 'application/json; charset=UTF-8' });
      response.end('[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}]');
    });
    const machine = await metadata();
    const found = await fault(withEnv({ ...nothing, ...machine }, () => ask(settings(host))));
    expect(found).toMatchObject({ code: 'model_unavailable', message: 'The model is rate limited.' });
  });
});
