import { TooLong } from './exchange.js';
import { EndedEarly } from './exchanges.js';
import { chain, codeOf, neverSent, notTrusted } from './never-sent.js';
import { McpRefusal, McpServerAway, McpWish } from './server-away.js';

/** The SDK, which is loaded late. */
export type Sdk = typeof import('./mcp-sdk.js');

/** Longest message of a server that is kept, in characters. */
const LONGEST_MESSAGE = 2_000;

/** JSON-RPC code of a server that wants something which its client did not say that it can do. */
const ASKS_FOR_MORE = -32021;

/** JSON-RPC code of a server of 2025 that wants a person to visit an address first. */
const ASKS_FOR_A_VISIT = -32042;

/**
 * Says what an error of the SDK means. It takes neither addresses nor texts from the error, except the message of a JSON-RPC error.
 *
 * @param mayHaveRun whether the request may have reached the server
 */
export function faultOf(error: unknown, mayHaveRun: boolean, sdk: Sdk): McpServerAway | McpRefusal | McpWish {
  for (const link of chain(error)) {
    if (link instanceof McpServerAway || link instanceof McpRefusal || link instanceof McpWish) return link;
    if (link instanceof sdk.ProtocolError) return refusal(link.code, link.message);
    if (link instanceof TooLong)
      return new McpServerAway(`The server’s answer is longer than ${link.allowed} bytes.`, { mayHaveRun });
    if (link instanceof EndedEarly)
      return new McpServerAway('The server ended its answer early.', { mayHaveRun, temporary: true });
    if (!(link instanceof sdk.SdkError)) continue;
    const status = (link.data as { status?: unknown } | undefined)?.status;
    if (typeof status === 'number') return ofStatus(status, mayHaveRun);
    if (link.code === sdk.SdkErrorCode.RequestTimeout) return late(mayHaveRun);
    if (link.code === sdk.SdkErrorCode.UnsupportedResultType) return new McpWish(wishOf(link.data));
    if (link.code === sdk.SdkErrorCode.ConnectionClosed)
      return new McpServerAway('The connection was closed.', { mayHaveRun, temporary: true });
    if (link.code === sdk.SdkErrorCode.InvalidResult || link.code === sdk.SdkErrorCode.ClientHttpUnexpectedContent)
      return notMcp(mayHaveRun);
  }
  if (notTrusted(error)) return new McpServerAway('The server’s certificate is not accepted.');
  const code = codeOf(error);
  if (neverSent(error)) {
    const why = code === undefined ? 'its address or a header is not usable' : code;
    return new McpServerAway(`The server could not be reached (${why}).`, { temporary: code !== undefined });
  }
  if (code !== undefined)
    return new McpServerAway(`The connection to the server broke (${code}).`, { mayHaveRun, temporary: true });
  return notMcp(mayHaveRun);
}

/** A server that was too slow. */
export function late(mayHaveRun: boolean): McpServerAway {
  return new McpServerAway('The server did not answer in time.', { mayHaveRun });
}

function notMcp(mayHaveRun: boolean): McpServerAway {
  return new McpServerAway('The server’s answer is not one of the Model Context Protocol.', { mayHaveRun });
}

function refusal(code: number, message: string): McpRefusal | McpWish {
  if (code === ASKS_FOR_MORE || code === ASKS_FOR_A_VISIT) return new McpWish('further input');
  return new McpRefusal(code, message.slice(0, LONGEST_MESSAGE));
}

/** What an HTTP status means. A server that refuses a request has not run it; after an error of its own, nobody knows. */
function ofStatus(status: number, mayHaveRun: boolean): McpServerAway {
  if (status >= 500) return new McpServerAway(`The server answered ${status}.`, { mayHaveRun, temporary: true });
  if (status === 401 || status === 403)
    return new McpServerAway(`The server does not accept the credentials (${status}).`);
  if (status >= 300 && status < 400)
    return new McpServerAway(`The server answered with a redirect (${status}), which is not followed.`);
  if (status === 429) return new McpServerAway('The server has had too many requests (429).');
  // Servers say with either that they do not know a session.
  return new McpServerAway(`The server refused the request (${status}).`, {
    forgotten: status === 404 || status === 400,
  });
}

function wishOf(data: unknown): string {
  const type = (data as { resultType?: unknown } | undefined)?.resultType;
  if (type === 'input_required') return 'further input';
  return type === 'task' ? 'a task that goes on after its answer' : 'more than one answer';
}
