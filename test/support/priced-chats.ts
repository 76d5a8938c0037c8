import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Billed } from './model-stub.js';
import type { Stack } from './stack.js';
import { httpTool, type Tools } from './tools.js';

/*
 * Chats whose bill is counted, for a test and for `npm run bench -- money`. The stand-in bills by the rules of the real cache; a token is
 * four characters there.
 */

/**
 * What a million tokens of claude-sonnet-5-5 cost in US dollars, in November 2026:
 * https://platform.claude.com/docs/en/models/sonnet-5-5/overview, and for reads from the cache
 * https://platform.claude.com/docs/en/models/sonnet-5-5/migration-guide (0.10 since 2026-10-07).
 */
export const PRICE = { input: 2, output: 10, cache_read: 0.1, cache_write_5m: 2.5, cache_write_1h: 4 };
export const CURRENCY = 'USD';
const MODEL = 'claude-sonnet-5-5';

const CHARACTERS_A_TOKEN = 4;
const SYSTEM_CHARACTERS = 3_000;
const ASKED_TOKENS = 200;
const REPLY_TOKENS = 800;
const RESULT_TOKENS = 300;
const THOUGHT_TOKENS = 50;

/** A chat to play. */
export interface ChatPlan {
  readonly turns: number;
  readonly cacheTtl: '5m' | '1h';
  /** How long the user takes to read and write before each turn, in milliseconds. */
  readonly restMs?: number;
  /** Numbers of tool calls of the steps before a turn's reply; left out: the assistant has no tools. */
  readonly callsOf?: (turn: number) => readonly number[];
}

/** The cost of a chat, in tokens and money. */
export interface ChatBill {
  readonly calls: number;
  /** All tokens of input, and their three parts. */
  readonly input: number;
  readonly full: number;
  readonly written: number;
  readonly read: number;
  readonly output: number;
  readonly cost: number;
  /** What the same requests would cost if the provider had no cache. */
  readonly costWithoutCache: number;
  /** The sums that the service's replies report. */
  readonly reported: Reported;
}

interface Reported {
  readonly input: number;
  readonly output: number;
  readonly read: number;
  readonly written: number;
  readonly cost: number;
}

/** Writes an assistants file with prices, for {@link playChat}. @returns its path */
export async function pricedAssistants(tools: Tools): Promise<string> {
  const words = 'You are the assistant of a shop. Look an order up before you say anything about it. ';
  const assistant = (ttl: '5m' | '1h', withTools: boolean): object => ({
    slug: slugOf({ cacheTtl: ttl, withTools }),
    name: 'Shop',
    description: 'Answers questions about orders.',
    system_prompt: words.repeat(40).slice(0, SYSTEM_CHARACTERS),
    welcome_message: 'Hello!',
    model: MODEL,
    cache_ttl: ttl,
    ...(withTools && { tools: [httpTool(tools, 'find_order', { repeatable: true })] }),
  });
  const path = join(await mkdtemp(join(tmpdir(), 'rejoinder-assistants-')), 'assistants.yaml');
  const assistants = [assistant('5m', false), assistant('1h', false), assistant('5m', true), assistant('1h', true)];
  await writeFile(path, stringify({ prices: { currency: CURRENCY, models: { [MODEL]: PRICE } }, assistants }));
  tools.answer('find_order', () => text('The order was sent. ', RESULT_TOKENS));
  return path;
}

/** How many chats were played: each has a user of its own. */
let played = 0;

/** Plays a chat from its first turn to its last, with an empty cache at its beginning. @returns its bill */
export async function playChat(stack: Stack, plan: ChatPlan): Promise<ChatBill> {
  const { model } = stack;
  await model.reset();
  const client = stack.as(`user ${++played}`);
  const chat = await client.chat(slugOf({ cacheTtl: plan.cacheTtl, withTools: plan.callsOf !== undefined }));
  const reported = { input: 0, output: 0, read: 0, written: 0, cost: 0 };
  const reply = { text: text('That is how it is. ', REPLY_TOKENS) };
  for (let turn = 1; turn <= plan.turns; turn++) {
    if (plan.restMs !== undefined) await model.pass(plan.restMs);
    const asked = text(`This is question ${turn}. `, ASKED_TOKENS);
    for (const [step, calls] of (plan.callsOf?.(turn) ?? []).entries()) {
      const use = { type: 'tool_use', name: 'find_order', input: { order_id: `A-${turn}-${step}` } };
      const thought = { type: 'thinking', tokens: THOUGHT_TOKENS, ping_every_ms: 0 };
      await model.script(asked, { blocks: [thought, ...Array.from({ length: calls }, () => use)] }, 1);
    }
    await model.script(asked, reply, 1);
    const { status, body } = await client.turn(chat.id, asked);
    if (status !== 200) throw new Error(`turn ${turn}: ${status} ${JSON.stringify(body)}`);
    const { usage } = body.assistant_message;
    reported.input += usage.input_tokens as number;
    reported.output += usage.output_tokens as number;
    reported.read += usage.cache_read_tokens as number;
    reported.written += usage.cache_write_tokens as number;
    reported.cost += usage.cost as number;
  }
  const { calls, total } = await model.bill();
  return { calls: calls.length, ...inWords(total), reported };
}

/** Turns of three steps, of which the first two have two calls each. */
export const TWO_CALLS_TWICE = (): readonly number[] => [2, 2];

function inWords(billed: Billed): Omit<ChatBill, 'calls' | 'reported'> {
  const { input_tokens: full, cache_read_input_tokens: read, output_tokens: output } = billed;
  const { cache_write_5m_input_tokens: forMinutes, cache_write_1h_input_tokens: forHour } = billed;
  const input = full + read + forMinutes + forHour;
  const dollars = (...parts: readonly [tokens: number, price: number][]): number =>
    parts.reduce((sum, [tokens, price]) => sum + tokens * price, 0) / 1_000_000;
  return {
    input,
    full,
    written: forMinutes + forHour,
    read,
    output,
    cost: dollars(
      [full, PRICE.input],
      [read, PRICE.cache_read],
      [forMinutes, PRICE.cache_write_5m],
      [forHour, PRICE.cache_write_1h],
      [output, PRICE.output],
    ),
    costWithoutCache: dollars([input, PRICE.input], [output, PRICE.output]),
  };
}

function slugOf({ cacheTtl, withTools }: { cacheTtl: '5m' | '1h'; withTools: boolean }): string {
  return `shop-${cacheTtl}${withTools ? '-tools' : ''}`;
}

/** A text of this many tokens. */
function text(words: string, tokens: number): string {
  return (
    words.repeat(Math.ceil((tokens * CHARACTERS_A_TOKEN) / words.length)).slice(0, tokens * CHARACTERS_A_TOKEN - 1) +
    '.'
  );
}
