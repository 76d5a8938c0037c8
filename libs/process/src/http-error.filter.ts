import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { logLine } from '#process/log-line.js';
import { CATALOGUE } from '#errors/catalogue.js';
import { errorBody } from '#errors/error-body.js';
import { ServiceError } from '#errors/service-error.js';
import { translate } from '#errors/translate.js';

/** The only place where an error becomes an HTTP answer. */
@Catch()
export class HttpErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger('http');

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    // When a client leaves in the middle of its request, the error looks like that of a lost store.
    const brokeOff = thrown !== null && thrown === request.raw.errored;
    const error = brokeOff ? new ServiceError('malformed_request', 'The request broke off.') : translate(thrown);

    const { code, status, jobId } = error;
    const cause = error.cause ?? (CATALOGUE[code].log === 'error' ? error : undefined);
    const fields = { request_id: request.id, code, status, ...(jobId !== undefined && { job_id: jobId }) };
    this.logger[CATALOGUE[code].log](logLine('refused', fields, cause));

    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    // Removes the headers of the answer that failed.
    for (const name of ['etag', 'location', 'link', 'preference-applied', 'retry-after']) reply.removeHeader(name);
    void reply
      .status(error.status)
      .headers({ 'x-request-id': request.id, 'cache-control': 'no-store', ...error.headers })
      .type('application/json; charset=utf-8')
      .send(JSON.stringify(errorBody(error, request.id)));
  }
}
