import type { SourceUrlUIPart, UIMessage } from 'ai';
import type { Job, JobStatus, Message, MessagePart } from '../types.js';
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
 * text, such as a refusal, has no parts. Tool calls are `dynamic-tool` parts, each step after the first begins with `step-start`, and the
 * sources come last.
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
  let step = 0;
  for (const part of parts) {
    const last = shown.at(-1);
    const afterCall = last?.type === 'dynamic-tool';
    if (part.type === 'text' && part.text !== '') {
      // Sources may stand between two texts of one step.
      if (last?.type === 'text') last.text += part.text;
      else shown.push(...(afterCall ? [STEP] : []), { type: 'text', text: part.text, state: 'done' });
    } else if (part.type === 'tool_call') {
      shown.push(...(afterCall && part.tool_call.step > step ? [STEP] : []), toolPartOf(part.tool_call));
      step = part.tool_call.step;
    }
  }
  return [...shown, ...sourcesOf(parts)];
}

const STEP = { type: 'step-start' } as const;

/**
 * The sources of a reply, each once. Their addresses are untrusted, and a page makes links of them. So only those of web pages count, and no
 * `javascript:`.
 */
export function sourcesOf(parts: readonly MessagePart[] = []): SourceUrlUIPart[] {
  const sources = new Map<string, SourceUrlUIPart>();
  for (const part of parts) {
    if (part.type !== 'source' || !/^https?:\/\//i.test(part.url) || sources.has(part.url)) continue;
    const { url, title } = part;
    sources.set(url, { type: 'source-url', sourceId: url, url, ...(title !== null && { title }) });
  }
  return [...sources.values()];
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
