import { isObject } from '../is-object.js';
import { invalid } from '../http.js';
import type { MessagesRequest } from '../messages-request.js';
import type { Model } from '../models/model.js';
import { tokensOfLength } from '../tokens.js';
import { blocksOf, definition, digest, essence, type SentBlock, textIn } from '../turns.js';

export type Ttl = '5m' | '1h';

/** A mark: the cache stores the prompt up to and including this block. */
export interface Mark {
  readonly at: number;
  readonly ttl: Ttl;
}

/** A prompt as the cache sees it: tools, system and messages, block by block. */
export interface Prompt {
  /** For each block a hash of the prompt up to it, and the tokens of that part. */
  readonly blocks: readonly { readonly word: string; readonly tokens: number }[];
  /** In the order of their blocks. */
  readonly marks: readonly Mark[];
  readonly tokens: number;
}

const MOST_MARKS = 4;

interface Sent {
  readonly block: SentBlock;
  readonly name: string;
  readonly section: 'tools' | 'system' | 'messages';
  readonly role?: string;
}

/** Reads a prompt and its marks. @throws Refusal for marks that the API refuses */
export function readPrompt(request: MessagesRequest, model: Model): Prompt {
  const sent = blocksIn(request);
  let word = digest(model.id);
  let length = 0;
  let section = '';
  const blocks = sent.map((one) => {
    if (one.section !== section) word = digest(word, settingsBefore(one.section, request, model));
    section = one.section;
    const isTool = one.section === 'tools';
    word = digest(word, one.section, one.role ?? null, isTool ? definition(one.block) : essence(one.block));
    length += (isTool ? definition(one.block) : textIn(one.block)).length;
    return { word, tokens: tokensOfLength(length) };
  });
  return { blocks, marks: marksIn(sent, request.cache_control), tokens: tokensOfLength(length) };
}

/**
 * The settings that are a part of the prompt before a section: after a change of one of them the cache no longer matches what follows. The
 * schema of the output changes the system prompt; thinking, effort and tool choice change the messages.
 */
function settingsBefore(section: Sent['section'], request: MessagesRequest, model: Model): unknown[] {
  const { effort, format } = isObject(request.output_config) ? request.output_config : {};
  switch (section) {
    case 'tools':
      return [];
    case 'system':
      return [format ?? null];
    case 'messages':
      return [format ?? null, request.thinking ?? null, request.tool_choice ?? null, effort ?? model.usualEffort];
  }
}

function blocksIn({ tools, system, messages }: MessagesRequest): Sent[] {
  const list = Array.isArray(tools) ? (tools as SentBlock[]) : [];
  return [
    ...list.map((block, n): Sent => ({ block, name: `tools.${n}`, section: 'tools' })),
    ...blocksOf(system).map((block, n): Sent => ({ block, name: `system.${n}`, section: 'system' })),
    ...messages.flatMap(({ role, content }, n) =>
      blocksOf(content).map((block, m): Sent => ({
        block,
        name: `messages.${n}.content.${m}`,
        section: 'messages',
        role,
      })),
    ),
  ];
}

function marksIn(sent: readonly Sent[], automatic: unknown): Mark[] {
  const marks = new Map<number, Ttl>();
  sent.forEach(({ block, name }, at) => {
    const ttl = ttlOf(block['cache_control'], name);
    if (ttl !== undefined) marks.set(at, ttl);
  });
  const ttl = ttlOf(automatic, '');
  if (ttl !== undefined) {
    const last = sent.findLastIndex(({ block }) => !['thinking', 'redacted_thinking'].includes(block.type));
    const own = marks.get(last);
    if (own !== undefined && own !== ttl) {
      throw invalid(
        `Top-level cache_control has ttl='${ttl}' but the target block already has cache_control with ttl='${own}'`,
      );
    }
    marks.set(last, ttl);
  }
  if (marks.size > MOST_MARKS) {
    throw invalid(`A maximum of ${MOST_MARKS} blocks with cache_control may be provided. Found ${marks.size}.`);
  }
  const inOrder = [...marks].map(([at, ttl]): Mark => ({ at, ttl })).sort((a, b) => a.at - b.at);
  const late = inOrder.find(({ ttl }, n) => ttl === '1h' && inOrder[n - 1]?.ttl === '5m');
  if (late !== undefined) {
    throw invalid(
      `${sent[late.at]?.name}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' ` +
        'cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.',
    );
  }
  return inOrder;
}

function ttlOf(control: unknown, name: string): Ttl | undefined {
  if (control === undefined || control === null) return undefined;
  const at = name === '' ? 'cache_control' : `${name}.cache_control`;
  const { type, ttl = '5m', ...rest } = isObject(control) ? control : {};
  if (type !== 'ephemeral') throw invalid(`${at}.type: Input should be 'ephemeral'`);
  if (ttl !== '5m' && ttl !== '1h') throw invalid(`${at}.ttl: Input should be '5m' or '1h'`);
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
  return ttl;
}
