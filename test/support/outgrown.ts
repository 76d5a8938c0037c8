import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from './client.js';
import { lengthen } from './long-chat.js';
import type { SeenCall } from './model-stub.js';
import { continues } from './prompts.js';
import { type Stack, startStack } from './stack.js';

/** Most tokens of a prompt of {@link smallAssistant}. The stand-in counts a token for four characters. */
export const LIMIT = 3_000;

/** A reply of about a hundred tokens. */
export const REPLY = 'An answer of some length. '.repeat(16);

/** The definition of an assistant whose chats soon outgrow their prompts. It has a model of its own. */
export const smallAssistant = (slug: string, settings: object = {}): object => ({
  slug,
  name: slug,
  description: slug,
  system_prompt: 'You are brief.',
  welcome_message: 'Hello',
  model: `model-of-${slug}`,
  context_tokens: LIMIT,
  max_output_tokens: 1_000,
  ...settings,
});

/** The columns of a chat that say what its next prompt has. */
export interface WindowRow {
  readonly window_from_seq: number | null;
  readonly context_tokens: number | null;
}

/** A stack with such assistants, and what tests do with their chats. */
export class Outgrown {
  private constructor(
    readonly stack: Stack,
    private readonly folder: string,
  ) {}

  static async start(assistants: readonly object[], env: Record<string, string> = {}): Promise<Outgrown> {
    const folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    const file = join(folder, 'assistants.yaml');
    await writeFile(file, JSON.stringify({ assistants }));
    return new Outgrown(await startStack({ env: { ...env, ASSISTANTS_FILE: file } }), folder);
  }

  async stop(): Promise<void> {
    await this.stack.stop();
    await rm(this.folder, { recursive: true });
  }

  /** Sends turns of about a hundred and fifty tokens. @returns their calls, refused ones and summaries included */
  async talk(client: Client, chatId: string, mark: string, count: number): Promise<SeenCall[]> {
    const { model } = this.stack;
    await model.script(`${mark} `, { text: REPLY });
    const before = (await model.allCalls()).length;
    for (let n = 0; n < count; n++) {
      const { status } = await client.turn(chatId, `${mark} ${n}: ${`the fact ${n} of ${mark}. `.repeat(8)}`);
      if (status !== 200) throw new Error(`Turn ${n} of ${mark} was answered with ${status}.`);
    }
    return (await model.allCalls()).slice(before);
  }

  async window(chatId: string): Promise<WindowRow> {
    const { rows } = await this.stack.database.query<WindowRow>(
      'SELECT window_from_seq, context_tokens FROM chats WHERE id = $1',
      [chatId],
    );
    const [row] = rows;
    if (row === undefined) throw new Error('There is no such chat.');
    return row;
  }

  /** Makes a chat whose next turn moves its window, and which has a summary. */
  async full(user: string, assistant: string): Promise<string> {
    const { database } = this.stack;
    const { id } = await this.stack.as(user).chat(assistant);
    await lengthen(database, id, 20, false);
    await database.query(`UPDATE messages SET content = content || repeat(' word', 60) WHERE chat_id = $1`, [id]);
    await database.query('UPDATE chats SET context_tokens = $2, window_from_seq = 4 WHERE id = $1', [id, LIMIT - 1]);
    await database.query(
      `INSERT INTO summaries (chat_id, until_seq, content, model) VALUES ($1, 3, 'The user is called Zoe.', 'm')`,
      [id],
    );
    return id;
  }
}

/** The tokens of a call's prompt. */
export function tokensOf({ billed }: SeenCall): number {
  const { input_tokens, cache_read_input_tokens, cache_write_5m_input_tokens, cache_write_1h_input_tokens } = billed;
  return input_tokens + cache_read_input_tokens + cache_write_5m_input_tokens + cache_write_1h_input_tokens;
}

/** Which calls do not begin with the bytes of the one before. */
export function movesIn(calls: readonly SeenCall[]): number[] {
  return calls.flatMap((call, n) => {
    const before = calls[n - 1];
    return before === undefined || continues(call, before) ? [] : [n];
  });
}
