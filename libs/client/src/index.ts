export {
  answerTools,
  type AnswerOptions,
  type Approval,
  type ToolFunction,
  type ToolFunctions,
} from './answer-tools.js';
export { ApiError, ConnectionError, RejoinderError, TurnError } from './errors.js';
export type { OnRetry, Token } from './http.js';
export { type FollowOptions, type JobEvent, JobEvents } from './job-events.js';
export * from './rejoinder.js';
export { type Remedy, remedyFor } from './remedy.js';
export * from './types.js';
