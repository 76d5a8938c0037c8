import { describe, expect, it } from '@jest/globals';
import { APIError } from '@anthropic-ai/sdk';
import { readFailure } from './api-error.js';
import { classify } from './classify.js';

/** The SDK's error for an answer. */
const answered = (status: number, body: unknown, headers: Record<string, string> = {}): APIError =>
  APIError.generate(status, body as object, undefined, new Headers(headers));

describe('what errors of Amazon Bedrock mean for the job', () => {
  const ofAws = (status: number, name: string, message: string): APIError =>
    answered(
      status,
      { message },
      { 'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/` },
    );

  it.each<[number, string, string, string, string | undefined]>([
    [429, 'ThrottlingException', 'Too many requests, please wait before trying again.', 'model_unavailable', undefined],
    [429, 'ThrottlingException', 'Too many tokens, please wait before trying again.', 'model_unavailable', undefined],
    [429, 'ModelNotReadyException', 'The model specified is not ready.', 'model_unavailable', undefined],
    [424, 'ModelErrorException', 'The request failed due to an error.', 'model_unavailable', undefined],
    [408, 'ModelTimeoutException', 'The request took too long to process.', 'model_unavailable', undefined],
    [503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.', 'model_unavailable', undefined],
    [400, 'ServiceQuotaExceededException', 'Your request exceeds the service quota.', 'model_budget', 'all'],
    [
      403,
      'AccessDeniedException',
      "You don't have access to the model with the specified model ID.",
      'model_unauthorized',
      'model',
    ],
    [
      403,
      'AccessDeniedException',
      'Authentication failed: Please make sure your API Key is valid.',
      'model_unauthorized',
      'all',
    ],
    [
      403,
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
      'model_unauthorized',
      'all',
    ],
    [
      403,
      'ExpiredTokenException',
      'The security token included in the request is expired',
      'model_unauthorized',
      'all',
    ],
    [
      403,
      'InvalidSignatureException',
      'The request signature we calculated does not match.',
      'model_unauthorized',
      'all',
    ],
    [
      404,
      'ResourceNotFoundException',
      'This model version has reached the end of its life.',
      'model_misconfigured',
      'model',
    ],
    [400, 'ValidationException', 'The provided model identifier is invalid.', 'model_misconfigured', 'model'],
    [
      400,
      'ValidationException',
      'Invocation of model ID anthropic.claude-x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.',
      'model_misconfigured',
      'model',
    ],
    [400, 'ValidationException', 'Operation not allowed', 'model_unauthorized', 'model'],
    [
      400,
      'ValidationException',
      'The maximum tokens you requested exceeds the model limit of 8192.',
      'model_misconfigured',
      'assistant',
    ],
    [
      400,
      'ValidationException',
      'Malformed input request: #: extraneous key [thinking] is not permitted, please reformat your input and try again.',
      'model_misconfigured',
      'assistant',
    ],
    [
      400,
      'ValidationException',
      'Malformed input request: #/max_tokens: 9000 is not less or equal to 4096, please reformat your input and try again.',
      'model_misconfigured',
      'assistant',
    ],
    [
      400,
      'ValidationException',
      'tools.0: Input tag web_search_20260318 does not match any of the expected tags',
      'model_misconfigured',
      'assistant',
    ],
    [
      400,
      'ValidationException',
      'The model returned the following errors: prompt is too long: 227255 tokens > 200000 maximum',
      'message_too_long',
      undefined,
    ],
    [400, 'ValidationException', 'Input is too long for requested model.', 'message_too_long', undefined],
    [
      400,
      'ValidationException',
      'messages.0: "The provided model identifier is invalid."',
      'model_rejected',
      undefined,
    ],
    [400, 'SomethingNewException', 'words', 'model_rejected', undefined],
  ])('%i %s (%s) means %s', (status, name, message, code, operator) => {
    expect(classify(ofAws(status, name, message))).toMatchObject({ code, operator });
  });

  it.each([
    [answered(403, { __type: 'com.amazon.coral.service#UnrecognizedClientException', message: 'x' })],
    [
      answered(
        403,
        { Message: 'Authentication failed: Please make sure your API Key is valid.' },
        { 'x-amzn-errortype': 'AccessDeniedException' },
      ),
    ],
    [answered(403, { message: 'x' }, { 'x-amzn-errortype': 'com.amazon.coral.service#InvalidSignatureException' })],
  ])('the name and the words are found where AWS’s services put them: %#', (error) => {
    expect(classify(error)).toMatchObject({ code: 'model_unauthorized', operator: 'all' });
  });

  it('an error of the Messages API from a gateway keeps its meaning', () => {
    const body = { type: 'error', error: { type: 'overloaded_error', message: 'x' } };
    expect(readFailure(answered(529, body, { 'x-amzn-requestid': 'aws-1' }))).toMatchObject({
      status: 529,
      type: 'overloaded_error',
    });
    expect(classify(answered(403, '<html>Forbidden</html>', { 'x-amzn-requestid': 'aws-1' }))).toMatchObject({
      code: 'model_rejected',
    });
  });
});

describe('what errors of Vertex AI mean for the job', () => {
  const ofGoogle = (code: number, status: string, message: string) => ({ error: { code, message, status } });
  const ofModel = (type: string, message: string) => ({
    type: 'error',
    error: { type, message },
    request_id: 'req_vrtx_1',
  });
  it.each<[string, number, object, string, string | undefined]>([
    [
      'a quota',
      429,
      ofGoogle(
        429,
        'RESOURCE_EXHAUSTED',
        'Quota exceeded for aiplatform.googleapis.com/online_prediction_input_tokens_per_minute_per_base_model with base model: anthropic-claude-opus-4.',
      ),
      'model_unavailable',
      undefined,
    ],
    ['a quota in a list', 429, [ofGoogle(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded')], 'model_unavailable', undefined],
    ['a failure', 500, ofGoogle(500, 'INTERNAL', 'Internal error encountered.'), 'model_unavailable', undefined],
    [
      'an outage',
      503,
      [ofGoogle(503, 'UNAVAILABLE', 'The service is currently unavailable.')],
      'model_unavailable',
      undefined,
    ],
    [
      'a call that was canceled there',
      499,
      ofGoogle(499, 'CANCELLED', 'The operation was cancelled.'),
      'model_unavailable',
      undefined,
    ],
    [
      'a token',
      401,
      ofGoogle(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.'),
      'model_unauthorized',
      'all',
    ],
    [
      'rights',
      403,
      ofGoogle(403, 'PERMISSION_DENIED', "Permission 'aiplatform.endpoints.predict' denied on resource"),
      'model_unauthorized',
      'model',
    ],
    [
      'billing',
      403,
      ofGoogle(403, 'PERMISSION_DENIED', 'This API method requires billing to be enabled.'),
      'model_budget',
      'all',
    ],
    [
      'a model that is not open to the project',
      400,
      ofGoogle(
        400,
        'FAILED_PRECONDITION',
        'Project `1` is not allowed to use Publisher Model `projects/p/locations/r/publishers/anthropic/models/m`',
      ),
      'model_unauthorized',
      'model',
    ],
    [
      'a region',
      400,
      [
        ofGoogle(
          400,
          'FAILED_PRECONDITION',
          'Publisher Model `projects/p/…/models/m` is not servable in region us-central1.',
        ),
      ],
      'model_misconfigured',
      'model',
    ],
    [
      'a name',
      404,
      [
        ofGoogle(
          404,
          'NOT_FOUND',
          'Publisher Model `projects/p/…/models/m` was not found or your project does not have access to it.',
        ),
      ],
      'model_misconfigured',
      'model',
    ],
    [
      'an argument',
      400,
      ofGoogle(400, 'INVALID_ARGUMENT', 'Request contains an invalid argument.'),
      'model_rejected',
      undefined,
    ],
    [
      'a setting',
      400,
      ofModel('invalid_request_error', 'max_tokens: 200000 > 64000, which is the maximum'),
      'model_misconfigured',
      'assistant',
    ],
    [
      'a long prompt',
      400,
      ofModel('invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
      'message_too_long',
      undefined,
    ],
    ['too many bytes', 413, ofModel('request_too_large', 'Prompt is too long'), 'message_too_long', undefined],
  ])('an error about %s has its meaning (%i)', (_, status, body, code, operator) => {
    expect(classify(answered(status, body))).toMatchObject({ code, operator });
  });
});
