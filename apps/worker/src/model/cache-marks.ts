import type Anthropic from '@anthropic-ai/sdk';
import type { CacheTtl } from '#database/entities/assistant.entity.js';
import type { FinishedStep } from '#jobs/steps.js';
import { isBlank } from './blank.js';
import { toStepMessages } from './prompt.js';

/*
 * Marks the places of a prompt up to which the provider keeps it, so that later requests read that part from the cache. A request finds
 * only what an earlier one has marked, and only at the block of one of its own marks or up to 19 blocks before it.
 *
 * Marks stand on blocks. One field for the whole request would mark the last block, too, but not every server has it: Amazon Bedrock's older
 * integration answers 400 (https://platform.claude.com/docs/en/build-with-claude/prompt-caching, "Automatic caching"), and a server that only
 * resembles the API may do the same. All marks of a request last equally long, because a longer one must not follow a shorter one.
 */

/** The words that mark a block. */
type Mark = Anthropic.CacheControlEphemeral;

/** Where a mark stands: a message, and a block in it. */
interface Place {
  readonly message: number;
  readonly block: number;
}

type Messages = readonly Anthropic.MessageParam[];

/** The mark of a request. Five minutes need no words, and some servers know no others. */
export function markOf(ttl: CacheTtl): Mark {
  return ttl === '5m' ? { type: 'ephemeral' } : { type: 'ephemeral', ttl };
}

/**
 * The messages of a request, with at most three marks; the fourth that the API allows is the system prompt's.
 *
 * The last block always has one. The first step of a turn also has one on the question of the turn before: that turn's steps were sent in
 * another form than its finished reply, and a reply with many calls has more blocks than a request looks back. Later steps have one on
 * their own question instead, which the next turn will need even if this turn waits for longer than the cache keeps anything, and one
 * where the request of the step before ended.
 *
 * @param history ends with the question
 */
export function withMarks(history: Messages, steps: readonly FinishedStep[], mark: Mark): Anthropic.MessageParam[] {
  const messages = [...history, ...toStepMessages(steps)];
  const begun = steps.length > 0;
  const before = begun
    ? [...history, ...toStepMessages(steps.slice(0, -1))]
    : history.slice(0, previousQuestion(history) + 1);
  for (const place of [begun ? endOf(history) : undefined, endOf(before), endOf(messages)]) {
    if (place !== undefined) put(messages, place, mark);
  }
  return messages;
}

/** The message with the question of the turn before; -1: there is none. Messages of results belong to a reply. */
function previousQuestion(history: Messages): number {
  return history.findLastIndex(
    ({ role, content }, n) =>
      n < history.length - 1 &&
      role === 'user' &&
      (typeof content === 'string' || content.every(({ type }) => type !== 'tool_result')),
  );
}

/** The last block of these messages that can have a mark; undefined: their last message has none. */
function endOf(messages: Messages): Place | undefined {
  const message = messages.length - 1;
  const content = messages[message]?.content ?? [];
  const block = blocksOf(content).findLastIndex(canHaveMark);
  return block < 0 ? undefined : { message, block };
}

/** The API refuses marks on thoughts and on empty text, and a block of a kind that is new here may not take them. */
function canHaveMark(block: Anthropic.ContentBlockParam): boolean {
  if (block.type === 'text') return !isBlank(block.text);
  return ['tool_use', 'server_tool_use', 'tool_result'].includes(block.type) || block.type.endsWith('_tool_result');
}

/** Replaces the block: history and steps belong to others. To the cache, a text without blocks is one block of text. */
function put(messages: Anthropic.MessageParam[], { message, block }: Place, mark: Mark): void {
  const found = messages[message];
  if (found === undefined) return;
  const content = blocksOf(found.content).map((each, n) => (n === block ? { ...each, cache_control: mark } : each));
  messages[message] = { ...found, content } as Anthropic.MessageParam;
}

function blocksOf(content: Anthropic.MessageParam['content']): readonly Anthropic.ContentBlockParam[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}
