import { createParser } from 'eventsource-parser';
import type { ServerResponse } from 'node:http';
import { type AwsKeys, signatureFault } from './aws-signature.js';
import { bedrockChunk, bedrockException } from './event-stream.js';
import { type Answer, ProviderDoor, type Seen } from './provider-door.js';

/** Errors of Bedrock, by the status of the Messages API. */
const ERRORS: Readonly<Record<number, readonly [status: number, name: string]>> = {
  400: [400, 'ValidationException'],
  401: [403, 'UnrecognizedClientException'],
  403: [403, 'AccessDeniedException'],
  404: [404, 'ResourceNotFoundException'],
  408: [408, 'ModelTimeoutException'],
  413: [400, 'ValidationException'],
  429: [429, 'ThrottlingException'],
  500: [500, 'InternalServerException'],
  503: [503, 'ServiceUnavailableException'],
  529: [503, 'ServiceUnavailableException'],
};

/** Errors within a stream, by the type of the Messages API. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  overloaded_error: 'serviceUnavailableException',
  rate_limit_error: 'throttlingException',
  api_error: 'internalServerException',
  invalid_request_error: 'validationException',
};

export interface BedrockOptions {
  readonly region: string;
  /** Keys that may sign requests, or an API key. */
  readonly keys?: AwsKeys;
  readonly bearer?: string;
}

/**
 * Amazon Bedrock's wire before a server of the Messages API: `InvokeModelWithResponseStream`, signatures, and answers as AWS's binary stream
 * of events. The stand-in does the rest.
 */
export class BedrockDoor extends ProviderDoor {
  private constructor(
    private readonly options: BedrockOptions,
    model: string,
  ) {
    super(model);
  }

  /** `model`: the address of the server of the Messages API. */
  static async start(model: string, options: BedrockOptions): Promise<BedrockDoor> {
    const door = new BedrockDoor(options, model);
    await door.listen();
    return door;
  }

  protected open(seen: Seen): { model: string; body: object } | Answer {
    const { region, keys, bearer } = this.options;
    if (bearer !== undefined) {
      if (seen.headers.authorization !== `Bearer ${bearer}`)
        return refusal(403, 'AccessDeniedException', 'Authentication failed: Please make sure your API Key is valid.');
    } else if (keys !== undefined) {
      const fault = signatureFault(seen, keys, region, 'bedrock');
      if (fault !== undefined)
        return refusal(
          403,
          'InvalidSignatureException',
          `The request signature we calculated does not match: ${fault}`,
        );
    }
    const [, id] = /^\/model\/([^/]+)\/invoke-with-response-stream$/.exec(seen.url) ?? [];
    if (seen.method !== 'POST' || id === undefined)
      return {
        status: 404,
        headers: {},
        body: '{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}',
      };
    const body = JSON.parse(seen.body.toString()) as Record<string, unknown>;
    const { anthropic_version, ...others } = body;
    if (anthropic_version !== 'bedrock-2023-05-31')
      return refusal(400, 'ValidationException', `Invalid API version: ${String(anthropic_version)}`);
    const extraneous = ['model', 'stream', 'cache_control'].find((name) => name in others);
    if (extraneous !== undefined)
      return refusal(400, 'ValidationException', `${extraneous}: Extra inputs are not permitted`);
    const model = decodeURIComponent(id);
    if (!/^(?:arn:aws:bedrock:|(?:(?:us|eu|global)\.)?anthropic\.)/.test(model))
      return refusal(400, 'ValidationException', 'The provided model identifier is invalid.');
    return { model, body: others };
  }

  protected refuse(status: number, error: { message: string }): Answer {
    return refusal(...(ERRORS[status] ?? ([status, 'ValidationException'] as const)), error.message);
  }

  protected begin(response: ServerResponse): (chunk: Buffer) => void {
    response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-requestid': 'aws-1' });
    response.flushHeaders();
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent: ({ event, data }) => {
        const parsed = JSON.parse(data) as { error?: { type: string; message: string } };
        response.write(
          event === 'error' && parsed.error !== undefined
            ? bedrockException(EXCEPTIONS[parsed.error.type] ?? 'modelStreamErrorException', parsed.error.message)
            : bedrockChunk(parsed),
        );
      },
    });
    return (chunk) => parser.feed(decoder.decode(chunk, { stream: true }));
  }
}

function refusal(status: number, name: string, message: string): Answer {
  const headers = {
    'content-type': 'application/json',
    'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
    'x-amzn-requestid': 'aws-1',
  };
  return { status, headers, body: JSON.stringify({ message }) };
}
