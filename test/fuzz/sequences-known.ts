import { type Kind, mark, type Match, type Step, type Waits, type Way } from './sequences-steps.js';

/** An id that no chat or job has. */
export const NOTHING = '01936d3c-6b2e-7c4a-9f3e-2f1d5a7b8c90';

/** How long a waiting request waits, in seconds: far longer than a turn that ends by itself. */
const WAIT = 'wait=2';

/** A representation that a client has seen. */
export interface Seen {
  readonly etag: string;
  readonly body: any;
}

/** A request and its answer: an entry of the history that is compared with the model. */
export interface Call {
  readonly step: Step;
  readonly request: string;
  readonly chatId: string;
  readonly jobId: string;
  readonly text: string;
  /** Method, path and body, for which a key is kept. */
  readonly print: string;
  readonly key: string | undefined;
  /** The precondition that was sent. Without a body, the ETag never existed. */
  readonly match: { readonly etag: string; readonly body?: any } | undefined;
  /** For a page: the number that its cursor stands for. */
  readonly from: number | undefined;
  /** Moments of the tester's own clock. A call that ended before another began must come before it. */
  readonly began: number;
  readonly ended: number;
  readonly answer: {
    readonly status: number;
    readonly body: any;
    readonly replayed: boolean;
    readonly etag: string | null;
  };
}

/** A step as it is sent. */
export interface Plan extends Partial<Pick<Call, 'chatId' | 'jobId' | 'text' | 'key' | 'match' | 'from'>> {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly by?: 'stranger' | 'operator';
}

/** The shared knowledge of a user's clients, which turns a step into a request. */
export class Known {
  readonly chats: string[] = [];
  readonly jobs: string[] = [];
  private readonly failed: string[] = [];
  /** The requests that were sent with a key, answered or not. */
  private readonly keyed: { step: Step; plan: Plan }[] = [];
  private readonly seen = new Map<string, Seen[]>();
  private readonly assistants = new Map<string, string>();
  private readonly pages = new Map<string, any>();
  private texts = 0;

  /** The step and its request. For a repetition, both are those of the earlier request. */
  planned(step: Step): { step: Step; plan: Plan } {
    if (step.do !== 'again') {
      const plan = this.plan(step);
      if (plan.key !== undefined && step.do !== 'spy') this.keyed.push({ step, plan });
      return { step, plan };
    }
    const before = this.keyed.at(-1 - step.back);
    if (before === undefined) return this.planned({ do: 'open', assistant: 'support', title: null, key: 'k0' });
    if (before.step.do !== 'turn') return before;
    const { waits } = step;
    return { step: { ...before.step, waits }, plan: { ...before.plan, headers: preference(waits) } };
  }

  private chat(back: number): string {
    return this.chats.at(-1 - (back % Math.max(1, this.chats.length))) ?? NOTHING;
  }

  private job(back: number): string {
    return this.jobs.at(-1 - (back % Math.max(1, this.jobs.length))) ?? NOTHING;
  }

  private plan(step: Exclude<Step, { do: 'again' }>): Plan {
    switch (step.do) {
      case 'open': {
        const { title, assistant, key } = step;
        return { method: 'POST', path: `/api/v1/assistants/${assistant}/chats`, body: { title }, key };
      }
      case 'change': {
        const chatId = this.chat(step.chat);
        const match = this.match(chatId, step.match);
        return { method: 'PATCH', path: `/api/v1/chats/${chatId}`, body: step.change, chatId, match };
      }
      case 'shelve': {
        const chatId = this.chat(step.chat);
        const body = { status: step.status };
        return { method: 'PATCH', path: `/api/v1/admin/chats/${chatId}`, body, chatId, by: 'operator' };
      }
      case 'delete': {
        const chatId = this.chat(step.chat);
        return { method: 'DELETE', path: `/api/v1/chats/${chatId}`, chatId, match: this.match(chatId, step.match) };
      }
      case 'message':
      case 'turn': {
        const chatId = this.chat(step.chat);
        const text = this.text(step.kind, step.key);
        const isTurn = step.do === 'turn';
        return {
          method: 'POST',
          path: `${this.space(chatId, step.way)}/${isTurn ? 'turns' : 'messages'}`,
          body: isTurn ? { user_message: text } : { content: text },
          headers: isTurn ? preference(step.waits) : {},
          chatId,
          text,
          key: step.key,
        };
      }
      case 'reply': {
        const chatId = this.chat(step.chat);
        return {
          method: 'POST',
          path: '/api/v1/jobs/assistant-reply',
          body: { chat_id: chatId },
          chatId,
          key: step.key,
        };
      }
      case 'cancel': {
        const jobId = this.job(step.job);
        const body = { status: 'canceled' };
        if (step.by === 'user') return { method: 'PATCH', path: `/api/v1/jobs/${jobId}`, body, jobId };
        return { method: 'PATCH', path: `/api/v1/admin/jobs/${jobId}`, body, jobId, by: 'operator' };
      }
      case 'requeue': {
        const jobId = this.failed.at(-1 - step.job) ?? this.job(step.job);
        const body = { status: 'queued' };
        return { method: 'PATCH', path: `/api/v1/admin/jobs/${jobId}`, body, jobId, by: 'operator' };
      }
      case 'job': {
        const jobId = this.job(step.job);
        const headers: Record<string, string> = step.waits ? { prefer: WAIT } : {};
        const match = step.again ? this.seen.get(jobId)?.at(-1) : undefined;
        return { method: 'GET', path: `/api/v1/jobs/${jobId}`, headers, jobId, match };
      }
      case 'chat': {
        const chatId = this.chat(step.chat);
        const match = step.again ? this.seen.get(chatId)?.at(-1) : undefined;
        return { method: 'GET', path: `/api/v1/chats/${chatId}`, chatId, match };
      }
      case 'page': {
        const chatId = this.chat(step.chat);
        const { cursor, from } = this.cursor(chatId, step.from);
        const query = `limit=${step.limit}${cursor === undefined ? '' : `&${step.from}=${cursor}`}`;
        return { method: 'GET', path: `${this.space(chatId, step.way)}/messages?${query}`, chatId, from };
      }
      case 'list': {
        const { assistant, status, limit } = step;
        const query = new URLSearchParams({
          limit: String(limit),
          ...(assistant && { assistant }),
          ...(status && { status }),
        });
        return { method: 'GET', path: `/api/v1/chats?${query.toString()}` };
      }
      case 'spy':
        return { ...this.plan(asSpied(step)), by: 'stranger' };
      case 'leave':
        return { method: 'DELETE', path: '/api/v1/me' };
    }
  }

  /** The paths of a chat. A seen chat shows its assistant. */
  private space(chatId: string, way: Way): string {
    if (way === 'plain') return `/api/v1/chats/${chatId}`;
    const assistant = this.assistants.get(chatId) ?? 'support';
    const other = assistant === 'support' ? 'billing' : 'support';
    return `/api/v1/assistants/${way === 'scoped' ? assistant : other}/chats/${chatId}`;
  }

  private text(kind: Kind, key: string | undefined): string {
    return key === undefined ? `text ${++this.texts} ${mark(kind)}` : `${key} ${mark(kind)}`;
  }

  private match(chatId: string, match: Match): Call['match'] {
    const seen = this.seen.get(chatId) ?? [];
    switch (match) {
      case 'none':
        return undefined;
      case 'any':
        return { etag: '*' };
      case 'wrong':
        return { etag: '"never"' };
      case 'newest':
        return seen.at(-1) ?? { etag: '"never"' };
      case 'older':
        return seen.at(-2) ?? { etag: '"never"' };
    }
  }

  private cursor(chatId: string, from: 'end' | 'before' | 'after'): { cursor?: string; from?: number } {
    const page = this.pages.get(chatId);
    const cursor = from === 'end' ? undefined : (page?.[from] as string | null | undefined);
    if (cursor === undefined || cursor === null) return {};
    // An empty page lies behind the number that it was asked for with.
    const seq = page.data.at(from === 'before' ? 0 : -1)?.seq as number | undefined;
    return { cursor, from: seq ?? page.from + (from === 'before' ? 1 : 0) };
  }

  /** Learns from an answer. */
  learn(call: Call): void {
    const { status, body } = call.answer;
    const add = (list: string[], id: unknown): void => {
      if (typeof id === 'string' && !list.includes(id)) list.push(id);
    };
    if (status >= 400) {
      if (call.step.do === 'spy') return;
      add(this.jobs, body?.job_id);
      if (status === 502) add(this.failed, body.job_id);
      return;
    }
    switch (call.step.do) {
      case 'open':
        this.assistants.set(body.id as string, body.assistant as string);
        return add(this.chats, body.id);
      case 'turn':
        return add(this.jobs, status === 202 ? body.id : body.job_id);
      case 'reply':
        return add(this.jobs, body.id);
      case 'chat':
      case 'change':
      case 'job':
        if (status === 200) {
          if (body.status === 'failed') add(this.failed, body.id);
          const seen = this.seen.get(body.id as string) ?? [];
          seen.push({ etag: call.answer.etag ?? '', body });
          this.seen.set(body.id as string, seen);
        }
        return;
      case 'page':
        this.pages.set(call.chatId, { ...body, from: call.from });
        return;
      case 'list':
        for (const { id, assistant } of body.data as { id: string; assistant: string }[]) {
          this.assistants.set(id, assistant);
          add(this.chats, id);
        }
    }
  }
}

const PREFERENCES: Readonly<Record<Waits, string>> = { not: 'respond-async', now: 'wait=0', long: WAIT };

const preference = (waits: Waits): Record<string, string> => ({ prefer: PREFERENCES[waits] });

/** The step that a stranger tries. */
function asSpied({ chat, job, on }: Extract<Step, { do: 'spy' }>): Exclude<Step, { do: 'again' }> {
  switch (on) {
    case 'chat':
      return { do: 'chat', chat, again: false };
    case 'page':
      return { do: 'page', chat, limit: 4, from: 'end', way: 'plain' };
    case 'turn':
      return { do: 'turn', chat, kind: 'ok', key: 'k0', way: 'plain', waits: 'not' };
    case 'message':
      return { do: 'message', chat, kind: 'ok', key: undefined, way: 'plain' };
    case 'reply':
      return { do: 'reply', chat, key: undefined };
    case 'delete':
      return { do: 'delete', chat, match: 'none' };
    case 'job':
      return { do: 'job', job, waits: false, again: false };
    case 'cancel':
      return { do: 'cancel', job, by: 'user' };
  }
}
