import type { Socket } from 'node:net';
import { v4 } from 'uuid';
import { rawErrorResponse } from '#errors/error-body.js';

/** Answers what Node's HTTP parser refuses (it would answer in its own words) in the one error shape. */
export function answerRawError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const response =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? rawErrorResponse('header_fields_too_large', 'The headers are too large.', v4())
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? rawErrorResponse('request_timeout', 'The request took too long to arrive.', v4())
        : rawErrorResponse('malformed_request', 'This is not an HTTP request.', v4());
  socket.end(response);
}
