import { randomUUID } from 'node:crypto';
import type { Client } from '../support/client.js';
import { type Call, Known, NOTHING } from './sequences-known.js';
import type { Program, Step } from './sequences-steps.js';

/** The clients of one user, who share what they know. */
export class Clients {
  readonly calls: Call[] = [];
  private readonly known = new Known();
  private clock = 0;

  constructor(
    private readonly user: Client,
    private readonly others: Readonly<Record<'stranger' | 'operator', Client>>,
  ) {}

  /** Runs a program, and then looks at everything. */
  async run({ opened, first, clients }: Program): Promise<void> {
    if (opened) await this.make({ do: 'open', assistant: 'support', title: null, key: undefined });
    for (const step of first) await this.make(step);
    await Promise.all(
      clients.map(async (steps) => {
        for (const step of steps) await this.make(step);
      }),
    );
    await this.lookAround();
  }

  /** Ends all turns that are still under way. */
  async end(): Promise<void> {
    for (const [index] of this.known.jobs.entries()) await this.make({ do: 'cancel', job: index, by: 'user' });
    await this.lookAround();
  }

  private async lookAround(): Promise<void> {
    await this.make({ do: 'list', assistant: undefined, status: undefined, limit: 100 });
    for (const [index] of this.known.chats.entries()) {
      await this.make({ do: 'chat', chat: index, again: false });
      await this.make({ do: 'page', chat: index, limit: 100, from: 'end', way: 'plain' });
    }
    for (const [index] of this.known.jobs.entries())
      await this.make({ do: 'job', job: index, waits: false, again: false });
  }

  private async make(asked: Step): Promise<void> {
    const { step, plan } = this.known.planned(asked);
    const { method, path, body, headers = {}, by, match, key } = plan;
    const began = ++this.clock;
    const answer = await (by === undefined ? this.user : this.others[by]).request(method, path, {
      body,
      headers: {
        ...headers,
        ...(key !== undefined && { 'idempotency-key': key }),
        ...(match !== undefined && { [method === 'GET' ? 'if-none-match' : 'if-match']: match.etag }),
      },
    });
    const call: Call = {
      step,
      request: `${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`} ${JSON.stringify(headers)}`,
      chatId: NOTHING,
      jobId: NOTHING,
      text: '',
      key,
      match,
      from: undefined,
      ...plan,
      print: `${method} ${path} ${JSON.stringify(body ?? {})}`,
      began,
      ended: ++this.clock,
      answer: {
        status: answer.status,
        body: answer.body,
        replayed: answer.headers.get('idempotent-replayed') === 'true',
        etag: answer.headers.get('etag'),
      },
    };
    this.calls.push(call);
    this.known.learn(call);
  }
}

/** A new name of a user. */
export const newUser = (): string => `user-${randomUUID()}`;
