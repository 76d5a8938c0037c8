import type { RejoinderChatTransport, RejoinderUIMessage } from '@rejoinder/client/ai-sdk';
import {
  AbstractChat,
  asSchema,
  type ChatInit,
  type ChatState,
  type ChatStatus,
  type ChatTransport,
  type UIMessage,
  type UIMessageChunk,
  uiMessageChunkSchema,
} from 'ai';
import { until } from './until.js';

/** A chat's state as `@ai-sdk/react` keeps it: a replaced message is a copy, so that the page renders it. */
class MemoryState implements ChatState<RejoinderUIMessage> {
  status: ChatStatus = 'ready';
  error: Error | undefined;
  constructor(public messages: RejoinderUIMessage[]) {}
  pushMessage = (message: RejoinderUIMessage): void => void (this.messages = [...this.messages, message]);
  popMessage = (): void => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index: number, message: RejoinderUIMessage): void =>
    void (this.messages = this.messages.map((one, n) => (n === index ? this.snapshot(message) : one)));
  snapshot = <T>(thing: T): T => structuredClone(thing);
}

/** Faults in the chunks of a file's tests, by the package's own schema. */
export const faults: unknown[] = [];

/** The package takes the chunk for one of its own. */
export async function judge(chunk: unknown): Promise<boolean> {
  const result = await asSchema(uiMessageChunkSchema).validate?.(chunk);
  return result?.success === true;
}

/** The transport as the `useChat` of `ai` 6 passes it on: only these two functions, none of its properties. */
function handedOn(transport: RejoinderChatTransport): ChatTransport<RejoinderUIMessage> {
  const judged = (stream: ReadableStream<UIMessageChunk>): ReadableStream<UIMessageChunk> =>
    stream.pipeThrough(
      new TransformStream({
        transform: async (chunk, controller) => {
          if (!(await judge(chunk))) faults.push(chunk);
          controller.enqueue(chunk);
        },
      }),
    );
  return {
    sendMessages: async (options) => judged(await transport.sendMessages(options)),
    reconnectToStream: async (options) => {
      const stream = await transport.reconnectToStream(options);
      return stream && judged(stream);
    },
  };
}

/** `useChat` without React: the same class with another state. */
export class Page extends AbstractChat<RejoinderUIMessage> {
  constructor(
    readonly rejoinder: RejoinderChatTransport,
    { messages = [], transport = handedOn(rejoinder), ...init }: ChatInit<RejoinderUIMessage> & { id: string },
  ) {
    super({ ...init, transport, state: new MemoryState(messages) });
  }

  /** The reply's text, of all its parts. */
  get text(): string {
    return this.lastMessage?.role === 'assistant' ? textOf(this.lastMessage) : '';
  }

  has(text: string): Promise<true> {
    return until(async () => this.text.includes(text), `“${text}” on the page`);
  }

  is(status: ChatStatus): Promise<true> {
    return until(async () => this.status === status, `status ${status}`, 40_000);
  }
}

/** A message's texts, and the types of its other parts. */
export function textOf(message: UIMessage): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : `[${part.type}]`)).join('|');
}
