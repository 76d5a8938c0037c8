import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { logLine } from '#process/log-line.js';
import type { components } from '#contract/openapi.gen.js';
import {
  chatColumns,
  jobColumns,
  type JobRow,
  messageBytes,
  messageColumns,
  type MessageRow,
} from '#database/columns.js';
import type { Chat } from '#database/entities/chat.entity.js';
import type { Summary } from '#database/entities/summary.entity.js';
import { isStoreAway } from '#errors/store-away.js';
import { whenTokenEnds } from '../auth/token-end.js';
import { presentChat } from '../chats/present-chat.js';
import { LineStream } from '../http/line-stream.js';
import { readToolCalls, type ToolCallRow } from '#jobs/tool-calls.js';
import { presentJob } from '../jobs/present-job.js';
import { presentToolCall } from '../jobs/present-tool-call.js';
import { OpenStreams } from '../limits/open-streams.js';
import { Semaphore } from '../limits/semaphore.js';
import { presentMessage } from '../messages/present-message.js';

type Schemas = components['schemas'];

/** The version of the lines' format. It increases with each change that may break a client. */
const FORMAT_VERSION = 1;

/** The size of a page: its rows, and the bytes of its messages' text (at least one message). Summaries are some kilobytes each. */
const PAGE_ROWS = 200;
const PAGE_BYTES = 512 * 1024;
const PAGE_SUMMARIES = 20;

/** How many pages this process reads at once: requests need most connections of the pool. */
const AT_ONCE = 2;

/** How long exports may still take once the process stops, in milliseconds. */
const LEAVING_MS = 2_000;

// `seq` has no gaps.
const MESSAGES = `
  SELECT * FROM (
    SELECT ${messageColumns('m')}, sum(${messageBytes('m')}) OVER (ORDER BY m.seq) AS total
      FROM messages m WHERE m.chat_id = $1 AND m.seq > $2 ORDER BY m.seq LIMIT ${PAGE_ROWS}
  ) AS page
  WHERE total <= ${PAGE_BYTES} OR seq = $2 + 1
  ORDER BY seq`;

/** A position before any row, so that the first page has the same statement as the others. */
const NO_ID = '00000000-0000-0000-0000-000000000000';

const JOBS = `
  SELECT ${jobColumns('j')} FROM jobs j WHERE j.chat_id = $1 AND j.id > $2 ORDER BY j.id LIMIT ${PAGE_ROWS}`;

const SUMMARIES = `
  SELECT until_seq AS "untilSeq", content, created_at AS "createdAt" FROM summaries WHERE chat_id = $1 AND until_seq > $2
   ORDER BY until_seq LIMIT ${PAGE_SUMMARIES}`;

/** A chat, and whether there are summaries of it. Most chats have none. */
type ExportedChat = Chat & { readonly hasSummaries: boolean };

/** In the order of creation, which does not change during the export. In the order of `id`, PostgreSQL might search all users' chats. */
const CHATS = `
  SELECT ${chatColumns('c')}, EXISTS (SELECT FROM summaries s WHERE s.chat_id = c.id) AS "hasSummaries"
    FROM chats c WHERE c.user_id = $1 AND (c.created_at, c.id) > ($2::timestamptz, $3::uuid)
   ORDER BY c.created_at, c.id LIMIT ${PAGE_ROWS}`;

/**
 * All of a user's data as lines: each chat is followed by its messages, its jobs and its summaries. The export reads page by page, as fast as the client
 * reads, and each page has its own statement. So it holds little memory, and no connection between two pages.
 */
@Injectable()
export class ExportService implements BeforeApplicationShutdown {
  private readonly logger = new Logger(ExportService.name);
  private readonly running = new Set<LineStream>();
  private readonly reads = new Semaphore(AT_ONCE);

  constructor(
    private readonly manager: EntityManager,
    private readonly streams: OpenStreams,
  ) {}

  /**
   * Exports a user's data, for the user or for an operator. It counts as one of the caller's open streams (`readerId`), and breaks off when
   * the caller's token ends (`endsAt`). The first page is read before the answer begins, so that a failure can still be reported. @throws
   * ServiceError `rate_limited`
   */
  async open(userId: string, endsAt: number, readerId = userId): Promise<LineStream> {
    const slot = await this.streams.enter(readerId);
    const first = await this.reads
      .run(() => this.chats(userId, undefined))
      .catch((error: unknown) => {
        slot.leave();
        throw error;
      });
    const stream: LineStream = new LineStream(
      this.bundles(userId, first),
      (error) => this.failed(error),
      () => {
        this.running.delete(stream);
        slot.leave();
        keepOn();
      },
    );
    this.running.add(stream);
    const keepOn = whenTokenEnds(endsAt, () => stream.destroy());
    return stream;
  }

  beforeApplicationShutdown(): void {
    setTimeout(() => this.running.forEach((stream) => stream.destroy()), LEAVING_MS).unref();
  }

  private failed(error: unknown): void {
    const entry = logLine('an export failed', {}, error);
    if (isStoreAway(error)) this.logger.warn(entry);
    else this.logger.error(entry);
  }

  private async *bundles(
    userId: string,
    first: ExportedChat[],
  ): AsyncGenerator<Schemas['ExportLine'][], void, undefined> {
    const counts = { chats: 0, messages: 0, jobs: 0 };
    let summaries = 0;
    yield [{ type: 'export', version: FORMAT_VERSION, user: userId, exported_at: new Date().toISOString() }];
    for (let chats = first; chats.length > 0;) {
      for (const chat of chats) {
        counts.chats += 1;
        yield [{ type: 'chat', chat: presentChat(chat) }];
        for await (const messages of this.messages(chat)) {
          counts.messages += messages.length;
          yield messages.map((message) => ({ type: 'message', message: presentMessage(message) }));
        }
        for await (const jobs of this.jobs(chat)) {
          counts.jobs += jobs.length;
          // A chat has one unfinished turn at most, so this reads the calls of one job.
          const open = jobs.find(({ step, finishedAt }) => step > 0 && finishedAt === null);
          const calls = open && (await this.reads.run(() => readToolCalls(this.manager, open.id)));
          yield jobs.map((job) => ({ type: 'job', job: exportedJob(job, job === open ? calls : undefined) }));
        }
        for await (const page of this.summaries(chat)) {
          summaries += page.length;
          yield page.map((summary) => ({ type: 'summary', summary: exportedSummary(chat.id, summary) }));
        }
      }
      const last = chats.at(-1);
      chats = await this.reads.run(() => this.chats(userId, last));
    }
    yield [{ type: 'end', ...counts, ...(summaries > 0 && { summaries }) }];
  }

  private chats(userId: string, last: Chat | undefined): Promise<ExportedChat[]> {
    return this.manager.query<ExportedChat[]>(CHATS, [userId, last?.createdAt ?? '-infinity', last?.id ?? NO_ID]);
  }

  private async *messages(chat: Chat): AsyncGenerator<MessageRow[]> {
    for (let seq = 0; seq < chat.lastSeq;) {
      const page = await this.reads.run(() => this.manager.query<MessageRow[]>(MESSAGES, [chat.id, seq]));
      if (page.length === 0) return; // deleted meanwhile
      yield page;
      seq = page.at(-1)?.seq ?? chat.lastSeq;
    }
  }

  private async *jobs(chat: Chat): AsyncGenerator<JobRow[]> {
    let page: JobRow[] = [];
    do {
      const after = page.at(-1)?.id ?? NO_ID;
      page = await this.reads.run(() => this.manager.query<JobRow[]>(JOBS, [chat.id, after]));
      if (page.length > 0) yield page;
    } while (page.length === PAGE_ROWS);
  }

  private async *summaries({ id, hasSummaries }: ExportedChat): AsyncGenerator<SummaryRow[]> {
    for (let after: number | undefined = hasSummaries ? 0 : undefined; after !== undefined;) {
      const page = await this.reads.run(() => this.manager.query<SummaryRow[]>(SUMMARIES, [id, after]));
      if (page.length > 0) yield page;
      after = page.at(PAGE_SUMMARIES - 1)?.untilSeq;
    }
  }
}

type SummaryRow = Pick<Summary, 'untilSeq' | 'content' | 'createdAt'>;

function exportedSummary(chatId: string, { untilSeq, content, createdAt }: SummaryRow): Schemas['ExportedSummary'] {
  return { chat_id: chatId, until_seq: untilSeq, content, created_at: createdAt.toISOString() };
}

/** A job as exported, without its reply: that is among the messages, and names the job. @param calls those that no message has yet */
function exportedJob(job: JobRow, calls: readonly ToolCallRow[] | undefined): Schemas['ExportedJob'] {
  const { assistant_message: _, required_action: __, ...rest } = presentJob(job, null);
  return calls === undefined ? rest : { ...rest, tool_calls: calls.map(presentToolCall) };
}
