export { hasToolAnswers } from './ai-sdk/answers.js';
export { RestartError } from './ai-sdk/chunks.js';
export { type RejoinderMetadata, type RejoinderUIMessage, toUIMessages } from './ai-sdk/messages.js';
export { RejoinderChatTransport, type RejoinderChatTransportOptions } from './ai-sdk/transport.js';
