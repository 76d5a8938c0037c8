import type { SourceUrlUIPart, TextUIPart, UIMessage } from 'ai';
import type { Job, JobStatus, Message, SourcePart } from '../types.js';
import { toolPartOf } from './tool-calls.js';

/** A message's fields besides its text, in the contract's words. A message that the page has just sent has none of them. */
export interface RejoinderMetadata {
  /** The job that writes the reply. */
  readonly job_id?: string;
  /** The latest known state of the job. `attempts` and `error` are there only for a reply whose stream this page has read. */
  readonly job_status?: JobStatus;
  readonly attempts?: number;
  /** Why the job failed. */
  readonly error?: Job['error'];
  /** The stored message's id; undefined until the message is stored. */
  readonly message_id?: string;
  readonly seq?: number;
  /** `incomplete`: the reply was canceled, or the model ended it early. `stop_reason` says which. */
  readonly status?: Message['status'];
  readonly created_at?: string;
  readonly model?: string;
  readonly stop_reason?: string;
  /** Why the model refused, in its own words. */
  readonly stop_details?: Message['stop_details'];
  /** Present only when false: the model does not get this message any more. */
  readonly in_context?: false;
  readonly usage?: Message['usage'];
}

/** The messages of `useChat<RejoinderUIMessage>`. */
export type RejoinderUIMessage = UIMessage<RejoinderMetadata>;

/**
 * Messages of the service as the initial messages of `useChat`. A reply has the id of its job, as it has while it is streamed, so both are
 * the same message to `useChat`. Other messages have their own id. `metadata.message_id` is always the message's own id. A reply without
 * text, such as a refusal, has no parts. Tool calls are `dynamic-tool` parts, and each step after the first begins with `step-start`.
 */
export function toUIMessages(messages: readonly Message[]): RejoinderUIMessage[] {
  return messages.map((message) => ({
    id: message.job_id ?? message.id,
    role: message.role,
    parts: partsOf(message),
    metadata: metadataOf(message),
  }));
}

function partsOf({ content, parts = [{ type: 'text', text: content }] }: Message): RejoinderUIMessage['parts'] {
  const shown: RejoinderUIMessage['parts'] = [];
  const cited = new Set<string>();
  let text: TextUIPart | undefined;
  let calledIn = 0;
  const afterCalls = (): void => {
    if (shown.at(-1)?.type === 'dynamic-tool') shown.push({ type: 'step-start' });
  };
  for (const part of parts) {
    switch (part.type) {
      case 'reasoning':
        afterCalls();
        shown.push({ type: 'reasoning', text: part.text, state: 'done' });
        break;
      case 'text':
        if (part.text === '') break;
        afterCalls();
        // A step that the model paused, and the one that continues it, are one text here.
        if (text !== undefined) text.text += part.text;
        else shown.push((text = { type: 'text', text: part.text, state: 'done' }));
        break;
      case 'source': {
        const source = sourceOf(part);
        if (source === undefined || cited.has(source.url)) break;
        cited.add(source.url);
        shown.push(source);
        break;
      }
      case 'tool_call':
        if (part.tool_call.step > calledIn) afterCalls();
        calledIn = part.tool_call.step;
        text = undefined;
        shown.push(toolPartOf(part.tool_call));
        break;
    }
  }
  return shown;
}

/**
 * A source as a part. Its address is untrusted, and a page makes a link of it. So only addresses of web pages count, and no `javascript:`.
 * @returns undefined: it has another address
 */
export function sourceOf({ url, title }: SourcePart): SourceUrlUIPart | undefined {
  if (!/^https?:\/\//i.test(url)) return undefined;
  return { type: 'source-url', sourceId: url, url, ...(title !== null && { title }) };
}

/** The metadata of a stored message. */
export function metadataOf(message: Message): RejoinderMetadata {
  const { id, job_id, seq, status, created_at, model, stop_reason, stop_details, in_context, usage } = message;
  return {
    ...(job_id !== null && { job_id }),
    message_id: id,
    seq,
    status,
    created_at,
    ...(model !== undefined && { model }),
    ...(stop_reason !== undefined && { stop_reason }),
    ...(stop_details !== undefined && { stop_details }),
    ...(in_context !== undefined && { in_context }),
    ...(usage !== undefined && { usage }),
  };
}
