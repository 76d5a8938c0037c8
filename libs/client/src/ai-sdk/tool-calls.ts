import type { DynamicToolUIPart, UIMessage, UIMessageChunk } from 'ai';
import { hasEnded, type ToolCall } from '../types.js';

/** The state of a call on a page: it asks for an approval or a result, or the page has answered, or a worker runs the tool, or it ended. */
type Shown = 'approval' | 'result' | 'answered' | 'running' | 'ended';

/** The part of a tool call in its last state, and the page's own answers in between. */
export type ToolPart = DynamicToolUIPart;

/** The tool parts of a message. */
export function toolPartsOf({ parts }: Pick<UIMessage, 'parts'>): ToolPart[] {
  return parts.filter((part) => part.type === 'dynamic-tool');
}

/**
 * The page has answered the call, and the service does not know that yet. A result counts as the page's own until the service has confirmed
 * it: then the part is `providerExecuted`, as is every call that does not ask the page for a result.
 */
export function isAnswered({ state, providerExecuted }: ToolPart): boolean {
  return (
    state === 'approval-responded' ||
    ((state === 'output-available' || state === 'output-error') && providerExecuted !== true)
  );
}

/** A stored call as the part that a stream leaves of it. */
export function toolPartOf(call: ToolCall): ToolPart {
  const { id, name, input, status, reason } = call;
  const part = { type: 'dynamic-tool', toolCallId: id, toolName: name, input, providerExecuted: true } as const;
  switch (status) {
    case 'succeeded':
      return { ...part, state: 'output-available', output: outputOf(call) };
    case 'denied':
      return {
        ...part,
        state: 'output-denied',
        approval: { id, approved: false, ...(reason !== null && { reason }) },
      };
    default:
      return { ...part, state: 'output-error', errorText: errorOf(call) };
  }
}

/** The changes of tool calls as chunks, each change once. */
export class ToolChunks {
  private readonly shown: Map<string, Shown>;

  /** @param message the message that the page has of the turn already */
  constructor(message?: UIMessage) {
    this.shown = new Map(message && toolPartsOf(message).map((part) => [part.toolCallId, shownOf(part)]));
  }

  /** The page has a part of this call. */
  has({ id }: ToolCall): boolean {
    return this.shown.has(id);
  }

  /** The chunks that bring the page's part of a call to the call's state; none if it is there. */
  *of(call: ToolCall): Generator<UIMessageChunk<never>> {
    const { id: toolCallId, name: toolName, input, status } = call;
    const before = this.shown.get(toolCallId);
    const now = stateOf(call);
    if (before === now) return;
    this.shown.set(toolCallId, now);
    // `useChat` calls `onToolCall` only for a call that is not `providerExecuted`.
    if (before === undefined || now === 'running' || now === 'result') {
      const providerExecuted = now !== 'result';
      yield { type: 'tool-input-available', toolCallId, toolName, input, dynamic: true, providerExecuted };
    }
    const asked = before === 'approval' || before === 'answered';
    if (now === 'approval' || (status === 'denied' && !asked)) {
      yield { type: 'tool-approval-request', toolCallId, approvalId: toolCallId };
    }
    if (now !== 'ended') return;
    const ended = { toolCallId, dynamic: true, providerExecuted: true } as const;
    if (status === 'succeeded') yield { type: 'tool-output-available', ...ended, output: outputOf(call) };
    else if (status === 'denied') yield { type: 'tool-output-denied', toolCallId };
    else yield { type: 'tool-output-error', ...ended, errorText: errorOf(call) };
  }
}

function stateOf(call: ToolCall): Shown {
  if (hasEnded(call)) return 'ended';
  if (call.status === 'awaiting_approval') return 'approval';
  return call.status === 'awaiting_result' ? 'result' : 'running';
}

function shownOf(part: ToolPart): Shown {
  if (isAnswered(part)) return 'answered';
  switch (part.state) {
    case 'approval-requested':
      return 'approval';
    case 'input-available':
    case 'input-streaming':
      return part.providerExecuted === true ? 'running' : 'result';
    default:
      return 'ended';
  }
}

/** A result that is the text of a JSON object or array becomes that again; any other is the text. */
function outputOf({ result }: ToolCall): unknown {
  if (result === null || !/^\s*[[{]/.test(result)) return result ?? '';
  try {
    return JSON.parse(result);
  } catch {
    return result;
  }
}

function errorOf({ result, status }: ToolCall): string {
  return result ?? `The call is ${status}.`;
}
