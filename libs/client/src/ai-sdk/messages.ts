import type { UIMessage } from 'ai';
import type { Job, JobStatus, Message } from '../types.js';

/** What a message says beyond its text, in the contract's words. A message that the page has just sent says none of it. */
export interface RejoinderMetadata {
  /** The job that writes the reply. */
  readonly job_id?: string;
  /** The job as last told; with `attempts` and `error` only of a reply that was seen being written. */
  readonly job_status?: JobStatus;
  readonly attempts?: number;
  /** Why the job failed. */
  readonly error?: Job['error'];
  /** The message as it is kept; of a reply as soon as it is. */
  readonly message_id?: string;
  readonly seq?: number;
  /** `incomplete` is the text so far of a reply that was canceled, or that the model ended early: `stop_reason` says which. */
  readonly status?: Message['status'];
  readonly created_at?: string;
  readonly model?: string;
  readonly stop_reason?: string;
  /** Why the model refused, in its own words. */
  readonly stop_details?: Message['stop_details'];
  /** Only where it is false: the model is not sent this message any more. */
  readonly in_context?: false;
  readonly usage?: Message['usage'];
}

/** The messages of `useChat<RejoinderUIMessage>`. */
export type RejoinderUIMessage = UIMessage<RejoinderMetadata>;

/**
 * Messages of the service as `useChat` has them, to begin with. A reply has the id of its job, as it has while it is streamed:
 * the same reply takes its own place, whichever way it comes. Other messages have their own; `metadata.message_id` always is it. A
 * reply without text, a refusal for one, has no parts.
 */
export function toUIMessages(messages: readonly Message[]): RejoinderUIMessage[] {
  return messages.map((message) => ({
    id: message.job_id ?? message.id,
    role: message.role,
    parts: message.content === '' ? [] : [{ type: 'text', text: message.content, state: 'done' }],
    metadata: metadataOf(message),
  }));
}

/** What is told of a message that is kept. */
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
