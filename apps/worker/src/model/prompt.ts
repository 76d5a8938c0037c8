import type Anthropic from '@anthropic-ai/sdk';
import type { Tool } from '#database/entities/tool.js';
import type { HistoryRow } from '#jobs/history.js';
import type { FinishedStep } from '#jobs/steps.js';
import { isBlank } from './blank.js';
import { framedSummary } from './summary.js';

interface Message {
  readonly role: 'user' | 'assistant';
  content: string | Anthropic.ContentBlockParam[];
}

/**
 * Makes the messages of a request: user and assistant alternate, and the user begins. Adjacent messages of one role become the blocks of one
 * message: a message may be stored without a request for a reply, and a reply may fail. An earlier request may have had the first of these
 * messages, and the cache finds it only as the same block. A summary of what was before is a block of its own.
 *
 * @param withCalls the tool calls of earlier turns are sent, too. The model refuses them in a request without tools
 */
export function toModelMessages(
  newestFirst: readonly HistoryRow[],
  withCalls = false,
  summary: string | null = null,
): Anthropic.MessageParam[] {
  const messages: Message[] =
    summary === null ? [] : [{ role: 'user', content: [{ type: 'text', text: framedSummary(summary) }] }];
  for (const row of [...newestFirst].reverse()) {
    const { role, content } = row;
    const replayed = withCalls && row.parts !== undefined ? replay(row.parts) : [];
    // The model refuses blank messages. A blank message that a reply or a cancel left must not make all later prompts fail.
    if (role === 'system' || (isBlank(content) && replayed.length === 0 && row !== newestFirst[0])) continue;
    const last = messages.at(-1);
    if (last === undefined && role === 'assistant') continue;
    if (replayed.length > 0) addReplayed(messages, replayed);
    else if (last?.role === role) last.content = [...blocksOf(last.content), { type: 'text', text: content }];
    else messages.push({ role, content });
  }
  return messages;
}

/**
 * Makes the messages that follow the history: the model's finished steps, with the blocks as they came. The next step continues a paused
 * one, so both are one message.
 */
export function toStepMessages(steps: readonly Pick<FinishedStep, 'content' | 'calls'>[]): Anthropic.MessageParam[] {
  const messages: Anthropic.MessageParam[] = [];
  let content: Anthropic.ContentBlockParam[] = [];
  for (const step of steps) {
    content.push(...(step.content as readonly Anthropic.ContentBlockParam[]));
    if (step.calls === null) continue;
    const results = step.calls.map(({ providerId, result, isError }) => resultBlock(providerId, result ?? '', isError));
    messages.push({ role: 'assistant', content }, { role: 'user', content: results });
    content = [];
  }
  return content.length === 0 ? messages : [...messages, { role: 'assistant', content }];
}

/** Whether prompts with these tools have the calls of earlier turns: the provider's own tools leave none that could be sent. */
export function sendsCalls(tools: readonly Tool[]): boolean {
  return tools.some(({ run }) => run !== 'provider');
}

/** The tools of a definition as a request has them. */
export function toModelTools(tools: readonly Tool[]): Anthropic.ToolUnion[] {
  return tools.map((tool) => {
    if (tool.run === 'provider') {
      const { run: _, ...asItIs } = tool;
      return asItIs as unknown as Anthropic.ToolUnion;
    }
    const { name, description, input_schema } = tool;
    return { name, description, input_schema: input_schema as Anthropic.Tool.InputSchema };
  });
}

/** The words behind results at the end of an earlier turn. If the user's text followed results directly, the model would end its turn. */
const STOPPED = '[This reply was stopped here.]';

/** Adds an earlier reply with tool calls. Its question may have been left out, so that it follows another reply. */
function addReplayed(messages: Message[], [first, ...rest]: Message[]): void {
  const last = messages.at(-1);
  if (first === undefined) return;
  if (last?.role === 'assistant') last.content = [...blocksOf(last.content), ...blocksOf(first.content)];
  else messages.push(first);
  messages.push(...rest);
}

function blocksOf(content: Message['content']): Anthropic.ContentBlockParam[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}

/**
 * Makes the messages of an earlier reply with tool calls: each step's text and calls, then their results. The ids are ours, since those of
 * the provider are only unique within a turn.
 * @returns empty: the reply has no calls
 */
function replay(parts: NonNullable<HistoryRow['parts']>): Message[] {
  const messages: Message[] = [];
  let said: Anthropic.ContentBlockParam[] = [];
  let results: Anthropic.ContentBlockParam[] = [];
  let step = 0;
  const endStep = (): void => {
    if (results.length > 0) messages.push({ role: 'assistant', content: said }, { role: 'user', content: results });
    if (results.length > 0) said = [];
    results = [];
  };
  for (const part of parts) {
    if (part.type === 'text') {
      endStep();
      if (!isBlank(part.text)) said.push({ type: 'text', text: part.text });
    } else if (part.type === 'tool_call') {
      const { id, name, input, result, is_error, step: of } = part.tool_call;
      if (of !== step) endStep();
      step = of;
      said.push({ type: 'tool_use', id, name, input });
      results.push(resultBlock(id, result, is_error));
    }
  }
  endStep();
  if (messages.length === 0) return [];
  return [...messages, { role: 'assistant', content: said.length > 0 ? said : [{ type: 'text', text: STOPPED }] }];
}

function resultBlock(id: string, result: string, isError: boolean): Anthropic.ToolResultBlockParam {
  return {
    type: 'tool_result',
    tool_use_id: id,
    ...(!isBlank(result) && { content: result }),
    ...(isError && { is_error: true }),
  };
}
