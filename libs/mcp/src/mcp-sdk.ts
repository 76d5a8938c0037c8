/*
 * The parts of the MCP client that we use. They become a bundle of their own, which a process loads with its first server: a process
 * without MCP servers must not pay for them at its start. So this file imports none of our modules.
 */
export {
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
