import type { FastifyReply } from 'fastify';

/** Names request headers that the answer depends on (RFC 9110, section 12.5.5), besides those named before. */
export function varyBy(reply: FastifyReply, ...headers: string[]): void {
  const present = [reply.getHeader('vary') ?? []].flat().join();
  if (present === '') return void reply.header('vary', headers.join(', '));
  const named = present.split(',').map((name) => name.trim());
  const known = new Set(named.map((name) => name.toLowerCase()));
  void reply.header('vary', [...named, ...headers.filter((name) => !known.has(name.toLowerCase()))].join(', '));
}
