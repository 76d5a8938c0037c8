import { HttpException } from '@nestjs/common';
import { isStoreAway } from './store-away.js';
import { nothingHere, ServiceError } from './service-error.js';

/** Seconds after which a client may try again while the store is away. */
const RETRY_AFTER_SECONDS = '2';

/** Fastify's own errors, by code. Their messages are replaced, because they repeat input and internals. */
const FASTIFY: Readonly<Record<string, () => ServiceError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => new ServiceError('payload_too_large', 'The body is too large.'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new ServiceError('unsupported_media_type', 'The body must be application/json.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new ServiceError('malformed_request', 'The body is not as long as Content-Length says.'),
  FST_ERR_BAD_URL: () => new ServiceError('malformed_request', 'The address cannot be decoded.'),
  FST_ERR_MAX_PARAM_LENGTH: () => nothingHere(),
};

/** Turns anything that we, Nest, Fastify, the store or a bug may throw into one of our errors. */
export function translate(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown;

  const code = (thrown as { code?: unknown } | null)?.code;
  const known = typeof code === 'string' ? FASTIFY[code] : undefined;
  if (known) return known();

  if (thrown instanceof HttpException) return fromStatus(thrown.getStatus(), thrown);
  if (isStoreAway(thrown)) {
    return new ServiceError('unavailable', 'The service cannot do this right now. Please try again.', {
      headers: { 'retry-after': RETRY_AFTER_SECONDS },
      cause: thrown,
    });
  }
  const status = (thrown as { statusCode?: unknown } | null)?.statusCode;
  return fromStatus(typeof status === 'number' ? status : 500, thrown);
}

function fromStatus(status: number, cause: unknown): ServiceError {
  switch (status) {
    case 400:
      return new ServiceError('malformed_request', 'The request cannot be read.', { cause });
    case 401:
      return new ServiceError('unauthorized', 'A valid bearer token is required.', { cause });
    case 403: // the file server's word for a path that leads out of its folder
    case 404:
      return nothingHere(cause);
    case 408:
      return new ServiceError('request_timeout', 'The request took too long to arrive.', { cause });
    case 413:
      return new ServiceError('payload_too_large', 'The body is too large.', { cause });
    case 415:
      return new ServiceError('unsupported_media_type', 'The body must be application/json.', { cause });
    case 503:
      return new ServiceError('unavailable', 'The service cannot do this right now. Please try again.', {
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
        cause,
      });
    default:
      if (status > 400 && status < 500)
        return new ServiceError('malformed_request', 'The request cannot be read.', { cause });
      return new ServiceError('internal', 'Something went wrong on our side.', { cause });
  }
}
