import type { components } from '../../contract/src/openapi.gen.js';

type Schemas = components['schemas'];

/* The contract's types under their own names, generated from `openapi.yaml`, which describes each field. */
export type Assistant = Schemas['Assistant'];
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
export type Metadata = Schemas['Metadata'];
export type ExportLine = Schemas['ExportLine'];
export type Receipt = Schemas['Receipt'];
export type OpenedChat = Schemas['OpenedChat'];
export type Turn = Schemas['Turn'];
export type OpenChatRequest = Schemas['OpenChatRequest'];
export type UpdateChatRequest = Schemas['UpdateChatRequest'];
export type CreateMessageRequest = Schemas['CreateMessageRequest'];
export type TurnRequest = Schemas['TurnRequest'];

/** The job will not change any more. */
export function isFinal({ status }: Pick<Job, 'status'>): boolean {
  return status !== 'queued' && status !== 'running';
}
