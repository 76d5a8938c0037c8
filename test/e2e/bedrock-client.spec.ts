import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AnthropicBedrock } from '@anthropic-ai/bedrock-sdk';
import { publicAddress } from '#settings/model-provider.js';
import type { Settings } from '#settings/settings.js';
import { signatureFault } from '../support/aws-signature.js';
import { awsMessage, bedrockChunk, bedrockException } from '../support/event-stream.js';
import { until } from '../support/until.js';
import { withEnv } from '../support/with-env.js';
import { bedrockClient } from '../../apps/worker/src/model/bedrock-sdk.js';
import { classify } from '../../apps/worker/src/model/classify.js';
import { type CallOptions, clientOptions, createStream } from '../../apps/worker/src/model/messages-api.js';
import { modelClient } from '../../apps/worker/src/model/model-client.js';

const REGION = 'eu-west-1';
const MODEL = 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0';
const ARN = `arn:aws:bedrock:${REGION}:123456789012:application-inference-profile/ab12cd34`;
const KEYS = { accessKeyId: 'AKIDCANARY', secretAccessKey: 'secret/canary+qpxz' };
const PARAMS = {
  model: MODEL,
  max_tokens: 1,
  messages: [{ role: 'user' as const, content: 'größer' }],
  stream: true as const,
};

/** Nothing of the machine's own configuration. */
const NO_AWS = {
  AWS_PROFILE: undefined,
  AWS_BEARER_TOKEN_BEDROCK: undefined,
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_SESSION_TOKEN: undefined,
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: undefined,
  AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
  AWS_WEB_IDENTITY_TOKEN_FILE: undefined,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
  AWS_CONFIG_FILE: '/nowhere',
};
const STATIC = { ...NO_AWS, AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };

const START = bedrockChunk({ type: 'message_start', message: { id: 'msg_bdrk_1', model: 'm', usage: {} } });
const STOP = bedrockChunk({ type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 1 } });
const WHOLE = Buffer.concat([START, STOP]);

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

describe('the client of Amazon Bedrock', () => {
  const servers: Server[] = [];
  const seen: Seen[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
    seen.length = 0;
  });

  const serve = async (answer: RequestListener): Promise<string> => {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        seen.push({ method, url, headers, body: Buffer.concat(chunks) });
        answer(request, response);
      });
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const streams =
    (...frames: Buffer[]): RequestListener =>
    (_, response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-requestid': 'aws-1' });
      response.end(Buffer.concat(frames));
    };
  const settings = (baseUrl: string, bearerToken?: string): Settings['model'] => ({
    provider: { name: 'bedrock', region: REGION, bearerToken },
    apiKey: 'sk-ant-canary-qpxz',
    baseUrl,
    idleMs: 60_000,
    totalMs: 60_000,
  });
  /** Reads a reply. @returns the types of its events */
  const ask = async (of: Settings['model'], options?: CallOptions, params: object = {}): Promise<string[]> => {
    const { stream } = await createStream(await modelClient(of), { ...PARAMS, ...params }, options);
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    return types;
  };
  const fault = (failing: Promise<unknown>, started = false) =>
    failing.then(
      () => 'no fault',
      (error: unknown) => classify(error, started),
    );

  it.each([
    [MODEL, `/model/${MODEL}/invoke-with-response-stream`],
    ['anthropic.claude-opus-4-8', '/model/anthropic.claude-opus-4-8/invoke-with-response-stream'],
    [ARN, `/model/${ARN.replace('/', '%2F')}/invoke-with-response-stream`],
  ])('signs what it sends for the model %s, so that AWS accepts it', async (model, path) => {
    const url = await serve(streams(WHOLE));
    const types = await withEnv(STATIC, () => ask(settings(`${url}/vpce`), {}, { model }));
    expect(types).toEqual(['message_start', 'message_stop']);
    const [request = {} as Seen] = seen;
    expect([request.method, request.url]).toEqual(['POST', `/vpce${path}`]);
    expect(signatureFault(request, KEYS, REGION, 'bedrock')).toBeUndefined();
    // The server would find a change of the body, so this finds that it looks.
    const changed = { ...request, body: Buffer.from(request.body.toString().replace('größer', 'kleiner')) };
    expect(signatureFault(changed, KEYS, REGION, 'bedrock')).toContain('the signature of');
    expect(JSON.parse(request.body.toString())).toEqual({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 1,
      messages: PARAMS.messages,
    });
    expect(request.headers).not.toHaveProperty('anthropic-version');
    expect(JSON.stringify([request.headers, request.body.toString()])).not.toContain('qpxz');
  });

  it('sends an API key of Bedrock as a bearer token, and no signature', async () => {
    const url = await serve(streams(WHOLE));
    await withEnv(STATIC, () => ask(settings(url, 'bedrock-api-key-canary')));
    expect(seen[0]?.headers).toMatchObject({ authorization: 'Bearer bedrock-api-key-canary' });
    expect(JSON.stringify(seen[0]?.headers)).not.toMatch(/x-api-key|x-amz-|AWS4|sk-ant/);
  });

  it('takes from the environment neither an address nor a key, nor headers', async () => {
    const url = await serve(streams(WHOLE));
    const foreign = {
      ANTHROPIC_BEDROCK_BASE_URL: 'http://127.0.0.1:1',
      ANTHROPIC_API_KEY: 'qpxz',
      ANTHROPIC_AUTH_TOKEN: 'qpxz',
      ANTHROPIC_CUSTOM_HEADERS: 'authorization: Bearer qpxz\nx-canary: qpxz',
      AWS_BEARER_TOKEN_BEDROCK: 'qpxz',
      AWS_REGION: 'us-west-2',
    };
    await withEnv({ ...STATIC, ...foreign }, () => ask(settings(url)));
    expect(signatureFault(seen[0] as Seen, KEYS, REGION, 'bedrock')).toBeUndefined();
    expect(JSON.stringify(seen[0]?.headers)).not.toContain('qpxz');
  });

  it('has the public address that the settings know', async () => {
    const { baseURL } = await withEnv({ ANTHROPIC_BEDROCK_BASE_URL: undefined }, async () => {
      return new AnthropicBedrock({ awsRegion: REGION, apiKey: 'x' });
    });
    expect(publicAddress({ name: 'bedrock', region: REGION, bearerToken: undefined })).toBe(baseURL);
  });

  it('asks for temporary credentials once for many calls', async () => {
    const temporary = { ...KEYS, sessionToken: 'token-of-a-session' };
    const credentials = await serve((_, response) => {
      const Expiration = new Date(Date.now() + 3_600_000).toISOString();
      const { accessKeyId, secretAccessKey, sessionToken } = temporary;
      response.end(
        JSON.stringify({ AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration }),
      );
    });
    const url = await serve(streams(WHOLE));
    await withEnv({ ...NO_AWS, AWS_CONTAINER_CREDENTIALS_FULL_URI: `${credentials}/role` }, async () => {
      const client = await modelClient(settings(url));
      const read = async (): Promise<void> => {
        for await (const _ of (await createStream(client, PARAMS)).stream);
      };
      await Promise.all(Array.from({ length: 5 }, read));
      await read();
    });
    expect(seen.filter(({ url }) => url === '/role')).toHaveLength(1);
    const calls = seen.filter(({ method }) => method === 'POST');
    expect(calls.map((call) => signatureFault(call, temporary, REGION, 'bedrock'))).toEqual(Array(6).fill(undefined));
  });

  it('takes the role of a pod, which AWS’s token service gives', async () => {
    const home = await mkdtemp(join(tmpdir(), 'rejoinder-bedrock-'));
    const url = await serve((request, response) => {
      if (request.url !== '/') return streams(WHOLE)(request, response);
      response.setHeader('content-type', 'text/xml');
      response.end(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${KEYS.accessKeyId}</AccessKeyId>
        <SecretAccessKey>${KEYS.secretAccessKey}</SecretAccessKey><SessionToken>of-the-role</SessionToken>
        <Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration></Credentials>
        <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`);
    });
    try {
      await writeFile(join(home, 'token'), 'the token of the pod');
      const role = {
        AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/r',
        AWS_WEB_IDENTITY_TOKEN_FILE: join(home, 'token'),
      };
      await withEnv({ ...NO_AWS, ...role, AWS_ENDPOINT_URL_STS: url }, () => ask(settings(url)));
    } finally {
      await rm(home, { recursive: true });
    }
    expect(seen[0]?.body.toString()).toContain('WebIdentityToken=the%20token%20of%20the%20pod');
    const role = { ...KEYS, sessionToken: 'of-the-role' };
    expect(signatureFault(seen[1] as Seen, role, REGION, 'bedrock')).toBeUndefined();
  });

  it('without credentials is an operator’s to mend, and finds them when they are there', async () => {
    const url = await serve(streams(WHOLE));
    const client = await modelClient(settings(url));
    const missing = await withEnv(NO_AWS, () => fault(createStream(client, PARAMS)));
    expect(missing).toMatchObject({ code: 'model_unauthorized', operator: 'all', outage: false });
    expect(missing).toMatchObject({ cause: { message: 'Could not load credentials from any providers' } });
    expect(seen).toEqual([]);
    expect((await withEnv(STATIC, () => createStream(client, PARAMS))).response.status).toBe(200);
  });

  it('is stopped at once while it waits for credentials', async () => {
    const silent = await serve(() => undefined);
    const controller = new AbortController();
    const variables = { ...NO_AWS, AWS_CONTAINER_CREDENTIALS_FULL_URI: `${silent}/role` };
    await withEnv(variables, async () => {
      const client = await modelClient(settings(silent));
      const call = createStream(client, PARAMS, { signal: controller.signal });
      await Promise.race([call.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 50))]);
      const begun = performance.now();
      controller.abort();
      await expect(call).rejects.toMatchObject({ name: 'APIUserAbortError' });
      expect(performance.now() - begun).toBeLessThan(500);
    });
  });

  it('hears bytes of which no event comes, such as pings', async () => {
    const ping = bedrockChunk({ type: 'ping' });
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' }).write(START);
      let left = 3;
      const next = (): void => void (left-- > 0 ? (response.write(ping), setTimeout(next, 30)) : response.end(STOP));
      setTimeout(next, 30);
    });
    let heard = 0;
    const types = await withEnv(STATIC, () => ask(settings(url), { onBytes: () => (heard += 1) }));
    expect(types).toEqual(['message_start', 'message_stop']);
    expect(heard).toBeGreaterThanOrEqual(4);
  });

  const within = async (started: boolean, ...frames: Buffer[]) => {
    const url = await serve(streams(...(started ? [START] : []), ...frames));
    return fault(
      withEnv(STATIC, () => ask(settings(url))),
      started,
    );
  };

  it.each([
    ['throttlingException', 'Too many tokens, please wait before trying again.', 'model_unavailable', 'answer_broken'],
    ['modelStreamErrorException', 'The model returned an error.', 'model_unavailable', 'answer_broken'],
    ['modelTimeoutException', 'Model has timed out in processing the request.', 'model_unavailable', 'answer_broken'],
    ['serviceUnavailableException', 'Bedrock is unable to process your request.', 'model_unavailable', 'answer_broken'],
    ['internalServerException', 'The system encountered an unexpected error.', 'model_unavailable', 'answer_broken'],
    ['somethingNewException', 'words', 'model_unavailable', 'answer_broken'],
    ['validationException', 'messages.0: bad', 'model_rejected', 'model_rejected'],
    [
      'validationException',
      'The model returned the following errors: prompt is too long: 3 tokens > 2 maximum',
      'message_too_long',
      'message_too_long',
    ],
  ])('%s in the stream has its meaning, before the answer and within it: %s', async (type, words, before, inside) => {
    expect(await within(false, bedrockException(type, words))).toMatchObject({ code: before });
    expect(await within(true, bedrockException(type, words))).toMatchObject({ code: inside, operator: undefined });
  });

  const error = awsMessage(
    { ':message-type': 'error', ':error-code': 'InternalFailure', ':error-message': 'words' },
    '',
  );
  const torn = (message: Buffer): Buffer =>
    Buffer.concat([message.subarray(0, -1), Buffer.from([message.at(-1)! ^ 1])]);
  it.each<[string, Buffer]>([
    ['an error without a model of it', error],
    ['a wrong checksum', torn(STOP)],
    ['a message that ends in its middle', STOP.subarray(0, 20)],
    ['a message without a type', awsMessage({}, '{}')],
    ['a payload that is no JSON', awsMessage({ ':message-type': 'event', ':event-type': 'chunk' }, '<html>')],
    ['the length of a message that cannot be', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
    ['a length of nothing', Buffer.alloc(64)],
  ])('an answer with %s is broken, and may be better the next time', async (_, frame) => {
    expect(await within(true, frame)).toMatchObject({ code: 'answer_broken', most: 5, operator: undefined });
    expect(await within(false, frame)).toMatchObject({ code: 'model_unavailable', most: 5, operator: undefined });
  });

  it('reads an answer that does not end so far and no further', async () => {
    const piece = bedrockChunk({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'x'.repeat(500) } });
    let left = false;
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' }).write(START);
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
        response.once('drain', more);
      };
      response.once('close', () => (left = true));
      more();
    });
    const common = {
      options: clientOptions(settings(url), { answer: 200_000, refusal: 1_000 }),
      baseUrl: url,
      credentialsFetch: fetch,
      noCredentials: (cause: unknown) => cause as Error,
    };
    const read = async (): Promise<void> => {
      const { stream } = await createStream(bedrockClient(common, REGION, 'a key'), PARAMS);
      for await (const _ of stream);
    };
    expect(await fault(read(), true)).toMatchObject({
      code: 'model_rejected',
      message: expect.stringContaining('too long'),
    });
    await until(async () => left, 'the end of the connection');
  });

  it('gives an error of AWS its meaning, by the name in the header', async () => {
    const url = await serve((_, response) => {
      response.writeHead(429, {
        'x-amzn-errortype': 'ThrottlingException:http://x/',
        'content-type': 'application/json',
      });
      response.end('{"message":"Too many tokens, please wait before trying again."}');
    });
    const found = await fault(withEnv(STATIC, () => ask(settings(url))));
    expect(found).toMatchObject({ code: 'model_unavailable', message: 'The model is rate limited.', tooLong: false });
  });

  it('makes no call for a name that would be another address', async () => {
    const url = await serve(streams(WHOLE));
    for (const model of ['..', '.', ';x', '', ' ']) {
      const found = await fault(withEnv(STATIC, () => ask(settings(url), {}, { model })));
      expect(found).toMatchObject({ code: 'model_misconfigured', operator: 'model' });
    }
    expect(seen).toEqual([]);
  });
});
