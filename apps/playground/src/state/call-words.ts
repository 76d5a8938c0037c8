import type { ToolCall, ToolCallStatus } from '@rejoinder/client';

/** The look of a tool call. Each tone has a colour and an icon of its own. */
export type CallTone = 'waiting' | 'working' | 'done' | 'failed' | 'denied' | 'ended';

const WORDS: Readonly<Record<ToolCallStatus, readonly [tone: CallTone, words: string]>> = {
  awaiting_approval: ['waiting', 'Needs your approval'],
  awaiting_result: ['waiting', 'Needs your answer'],
  queued: ['working', 'Queued'],
  running: ['working', 'Running'],
  succeeded: ['done', 'Done'],
  failed: ['failed', 'Failed'],
  denied: ['denied', 'Denied'],
  canceled: ['ended', 'Canceled'],
  expired: ['ended', 'Expired'],
};

/** A call's tone, and its state in words. A state of a later contract keeps its own name. */
export function stateOf({ status }: Pick<ToolCall, 'status'>): { readonly tone: CallTone; readonly words: string } {
  const [tone, words] = Object.hasOwn(WORDS, status) ? WORDS[status] : (['ended', status] as const);
  return { tone, words };
}

/** A person has to decide, or the front-end has to give a result. */
export function needsPerson({ status }: Pick<ToolCall, 'status'>): boolean {
  return status === 'awaiting_approval' || status === 'awaiting_result';
}

/**
 * When the tool began to work, in milliseconds since the epoch: with the call, or when a person let it. Undefined unless it runs or has run
 * to its end; also if a person gave its result.
 */
export function beganAt({
  status,
  created_at: created,
  decided_at: decided,
  ended_at: ended,
}: ToolCall): number | undefined {
  if (status !== 'running' && status !== 'succeeded' && status !== 'failed') return undefined;
  if (decided === null) return Date.parse(created);
  return ended !== null && Date.parse(ended) <= Date.parse(decided) ? undefined : Date.parse(decided);
}

/** The words that a screen reader says when a call needs a person. @param name as it is shown */
export function askingWords(name: string, { status }: Pick<ToolCall, 'status'>): string {
  return status === 'awaiting_approval'
    ? `The tool ${name} needs your approval.`
    : `The tool ${name} needs your answer.`;
}
