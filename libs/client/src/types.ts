import type { components } from '../../contract/src/openapi.gen.js';

type Schemas = components['schemas'];

/* The contract's types under their own names, generated from `openapi.yaml`, which describes each field. */
export type Assistant = Schemas['Assistant'];
export type Budget = Schemas['Budget'];
export type Chat = Schemas['Chat'];
export type ChatPage = Schemas['ChatPage'];
export type ChatStatus = Schemas['ChatStatus'];
export type ErrorBody = Schemas['ErrorBody'];
export type ErrorCode = Schemas['ErrorCode'];
export type ErrorDetail = Schemas['ErrorDetail'];
export type Job = Schemas['Job'];
export type JobErrorCode = Schemas['JobErrorCode'];
export type JobStatus = Job['status'];
export type Message = Schemas['Message'];
export type MessagePage = Schemas['MessagePage'];
export type MessagePart = Schemas['MessagePart'];
export type Metadata = Schemas['Metadata'];
export type ExportLine = Schemas['ExportLine'];
export type ReasoningPart = Schemas['ReasoningPart'];
export type Receipt = Schemas['Receipt'];
export type RequiredAction = Schemas['RequiredAction'];
export type SourcePart = Schemas['SourcePart'];
export type ToolCall = Schemas['ToolCall'];
export type ToolCallStatus = Schemas['ToolCallStatus'];
export type OpenedChat = Schemas['OpenedChat'];
export type Turn = Schemas['Turn'];
export type OpenChatRequest = Schemas['OpenChatRequest'];
export type UpdateChatRequest = Schemas['UpdateChatRequest'];
export type CreateMessageRequest = Schemas['CreateMessageRequest'];
export type TurnRequest = Schemas['TurnRequest'];

/** A job that will not change any more. */
export type FinalJob = Job & { readonly status: 'succeeded' | 'failed' | 'canceled' };

/** A job that goes on only once a person has decided, or the front-end has given a result. It is not final. */
export type WaitingJob = Job & { readonly status: 'requires_action'; readonly required_action: RequiredAction };

/** The job will not change any more. */
export function isFinal({ status }: Pick<Job, 'status'>): boolean {
  return status !== 'queued' && status !== 'running' && status !== 'requires_action';
}

/** The job waits for a person: `required_action` has the tool calls. */
export function isWaiting(job: Job): job is WaitingJob {
  return job.status === 'requires_action' && job.required_action !== undefined;
}

/** The tool call will not change any more. */
export function hasEnded({ status }: Pick<ToolCall, 'status'>): boolean {
  return !OPEN.has(status);
}

const OPEN: ReadonlySet<ToolCallStatus> = new Set(['awaiting_approval', 'awaiting_result', 'queued', 'running']);
