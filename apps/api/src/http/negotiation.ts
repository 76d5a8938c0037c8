import accepts from '@fastify/accepts';
import type { FastifyInstance } from 'fastify';
import { ServiceError } from '#errors/service-error.js';

/** Refuses callers of the API that cannot read JSON (406, RFC 9110, section 15.5.7). Errors are JSON all the same. */
export async function negotiate(fastify: FastifyInstance, prefix: string): Promise<void> {
  await fastify.register(accepts);
  fastify.addHook('onRequest', async (request) => {
    if (request.is404 || !request.url.startsWith(prefix)) return;
    if (request.accepts().type(['application/json']) === false) {
      throw new ServiceError('not_acceptable', 'Answers here are application/json.');
    }
  });
}
