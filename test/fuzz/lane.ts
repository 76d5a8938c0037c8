import type { Agent } from 'node:http';
import type { Contract, ContractOperation } from '../support/contract.js';
import type { Stack } from '../support/stack.js';
import { tokenFor } from '../support/stack.js';
import { effectsOf } from './effects.js';
import { faultsOf } from './faults.js';
import { type Plan, Raw, RawBody, Seen } from './request.js';
import { type Answer, asCurl, send, type Sent } from './send.js';
import { Ref } from './values.js';
import { type Citizen, type Fingerprint, tokenOf, type World } from './world.js';

/** How long an answer may take, in milliseconds, and how long if the request may ask to wait for a reply. */
const LONGEST_ANSWER_MS = 15_000;
const WAIT_FOR_REPLY_MS = 5_000;
const WAIT_FOR_JOB_MS = 250;

/** The longest value in an address, in characters. With a longer one, each answer would be that the headers are too large. */
const LONGEST_IN_ADDRESS = 1_000;

/** How many requests that may change nothing are sent between two looks at the rows. */
const BETWEEN_LOOKS = 25;

/** An unchanged user is replaced after this many looks. Then ids and pages of the old one are another user's. */
const READS_OF_ONE = 4;

/** How many pages all lanes together remember. */
const MOST_PAGES = 500;

/** The operations that may change all data of a user: the caller, or the named user. */
const DELETES_ALL = 'deleteMe';
const DELETES_USER = 'deleteUser';

/** A request, and the plan's parts that it was made from. */
export interface Resolved extends Sent {
  readonly query: URLSearchParams;
  /** The body as JSON; undefined without one, and {@link NOT_JSON} for a body that is not JSON. */
  readonly value: unknown;
}

/** Several requests may have made the change that was found. */
export class SomeRequest extends Error {}

/** How often each status came. */
export type Tally = Map<number | 'left', number>;

/** A page that was seen, and its cursors. */
export interface Page {
  readonly me: Citizen;
  readonly target: string;
  readonly cursor: string;
}

/** Requests of one operation, one after the other, on a world of their own. */
export class Lane {
  readonly tally: Tally = new Map();
  private me: Citizen | undefined;
  private before: Fingerprint | undefined;
  private sinceLook = 0;
  private reads = 0;
  private readonly etags = new Map<string, string>();
  private readonly isSafe: boolean;
  private readonly isAdmin: boolean;

  constructor(
    private readonly stack: Stack,
    private readonly contract: Contract,
    private readonly operation: ContractOperation,
    private readonly world: World,
    private readonly agent: Agent,
    /** The pages of all lanes. */
    private readonly pages: Page[],
    /** Look at the rows after each request. */
    private readonly closely: boolean,
  ) {
    this.isSafe = operation.method === 'GET';
    this.isAdmin = operation.path.startsWith('/api/v1/admin');
  }

  /** Sends a planned request, and checks the answer and its effects. @throws Error with every fault */
  async try(plan: Plan): Promise<void> {
    const me = (this.me ??= await this.world.next());
    this.before ??= await this.world.fingerprint(me);
    const sent = this.resolve(plan, me);
    const waits = plan.headers.some(([name]) => name === 'Prefer') || this.operation.path.endsWith('/turns');
    const patience = !waits ? LONGEST_ANSWER_MS : this.isSafe ? WAIT_FOR_JOB_MS : WAIT_FOR_REPLY_MS;
    try {
      const answer = await send(this.agent, this.stack.api.url, sent, patience);
      if (sent.method === this.operation.method) this.count(answer);
      const faults =
        answer === undefined
          ? waits
            ? []
            : [`no answer within ${patience} ms`]
          : faultsOf(this.contract, this.operation, plan, sent, answer);
      await this.look(sent, answer, me, faults);
      if (faults.length > 0) throw new Error(faults.join('\n'));
      if (answer !== undefined) this.remember(sent, answer, me);
    } catch (error) {
      this.renew();
      if (error instanceof SomeRequest) throw error;
      throw new Error(`${(error as Error).message}\n\n${asCurl(this.stack.api.url, sent)}`, { cause: error });
    }
  }

  /** The last look at the rows. */
  async end(): Promise<void> {
    if (this.me === undefined || this.before === undefined) return;
    if (effectsOf(this.before, await this.world.fingerprint(this.me), []).length > 0) throw new SomeRequest();
  }

  /** Checks that the request changed only what it may. After a request that may change something, later ones use another user. */
  private async look(sent: Resolved, answer: Answer | undefined, me: Citizen, faults: string[]): Promise<void> {
    const mayChange =
      !this.isSafe &&
      sent.method === this.operation.method &&
      (answer === undefined || answer.status < 400 || answer.status >= 500);
    this.sinceLook += 1;
    if (this.isSafe && !this.closely && this.sinceLook < BETWEEN_LOOKS && faults.length === 0) return;
    const before = this.before as Fingerprint;
    const after = await this.world.fingerprint(me);
    const mine = Object.keys(before.chats).filter((id) => me.ids['chat']?.includes(id) === true);
    const named = JSON.stringify([sent.target, sent.body?.toString()]).toLowerCase();
    // A request may change the chats that it names, and those of the jobs that it names.
    const isNamed = ({ chatOf }: Citizen, id: string): boolean =>
      named.includes(id) || [...chatOf].some(([job, chat]) => chat === id && named.includes(job));
    const chats = mine.filter((id) => isNamed(me, id));
    const deletes = (user: string): boolean =>
      this.operation.id === DELETES_USER && sent.target.split('/').includes(encoded(user));
    const everything = this.operation.id === DELETES_ALL || deletes(me.user);
    // An operator may change other users' data, too. Their turns then go on by themselves, so that user is not compared again.
    const other = this.world.other;
    const theirs =
      this.isAdmin && mayChange
        ? (other.ids['chat'] ?? []).filter((id) => isNamed(other, id) || deletes(other.user))
        : [];
    if (mayChange && deletes(other.user)) theirs.push(other.user);
    if (theirs.length > 0) await this.world.renewOther();
    chats.push(...theirs);
    const may = mayChange ? [me.user, ...(everything ? mine : chats), 'new', ...(this.isAdmin ? ['shared'] : [])] : [];
    const effects = effectsOf(before, after, may);
    if (effects.length > 0 && this.sinceLook > 1) throw new SomeRequest();
    faults.push(...effects.map((effect) => `${this.operation.id} answered ${answer?.status} and changed ${effect}`));
    this.sinceLook = 0;
    this.reads += 1;
    if (mayChange || (this.isSafe && this.reads % READS_OF_ONE === 0)) this.renew();
  }

  private renew(): void {
    this.me = undefined;
    this.before = undefined;
    this.sinceLook = 0;
  }

  private count(answer: Answer | undefined): void {
    const key = answer?.status ?? 'left';
    this.tally.set(key, (this.tally.get(key) ?? 0) + 1);
  }

  /** Remembers what later requests refer to. */
  private remember(sent: Resolved, answer: Answer, me: Citizen): void {
    const etag = answer.headers.get('etag');
    if (etag !== null) this.etags.set(sent.target, etag);
    if (answer.status !== 200 || answer.cut || !/"(before|after)":"/.test(answer.text)) return;
    const page = JSON.parse(answer.text) as Record<string, unknown>;
    for (const direction of ['before', 'after']) {
      const cursor = page[direction];
      const target = withQuery(
        sent.target,
        [...sent.query].filter(([name]) => name !== 'before' && name !== 'after'),
        [[direction, cursor as string]],
      );
      if (typeof cursor === 'string') this.pages.push({ me, target, cursor });
      if (this.pages.length > MOST_PAGES) this.pages.shift();
    }
  }

  private resolve(plan: Plan, me: Citizen): Resolved {
    const { path } = this.operation;
    const method = plan.method ?? this.operation.method;
    const text = (value: unknown): string =>
      value instanceof Ref ? this.world.idOf(value, me) : value instanceof Seen ? this.seen(value) : asText(value);
    const written = (value: unknown): string =>
      value instanceof Raw ? value.text : encoded(text(value).slice(0, LONGEST_IN_ADDRESS));
    const query = plan.query.map(([name, value]) => `${encoded(name)}=${written(value)}`).join('&');
    const filled = path.replace(/\{([^}]+)\}/g, (_, name: string) => written(plan.path[name]));
    let target = query === '' ? filled : `${filled}?${query}`;
    const pages = this.pages.filter((page) => page.me === me);
    const page = plan.page === undefined ? undefined : pages[plan.page % pages.length];
    if (page !== undefined && plan.broken.length === 0) target = page.target;
    // A current `ETag` must come from the same address.
    const tag = this.etags.get(target);
    const headers = plan.headers.flatMap(([name, value]): [string, string][] => {
      if (!(value instanceof Seen)) return [[name, header(text(value))]];
      return [[name, value.change(tag ?? '"none"')]];
    });
    const { body, value } = this.bodyOf(plan.body, me);
    const has = (name: string): boolean => headers.some(([other]) => other.toLowerCase() === name);
    return {
      method,
      target,
      query: new URLSearchParams(target.split('?', 2)[1] ?? ''),
      headers: [
        ['Host', new URL(this.stack.api.url).host],
        ...this.authorization(plan, me),
        ...(body === undefined || has('content-type')
          ? []
          : [['Content-Type', 'application/json'] as [string, string]]),
        ...headers,
      ],
      body,
      value,
    };
  }

  private authorization({ asking }: Plan, me: Citizen): [string, string][] {
    const bearer = (token: string): [string, string][] => [['Authorization', `Bearer ${token}`]];
    if (Array.isArray(asking)) return asking.map((value) => ['Authorization', value]);
    switch (asking) {
      case 'nobody':
        return [];
      case 'a stranger':
        return bearer(tokenOf(`${this.operation.id} stranger`, false));
      case 'no scope':
        return bearer(tokenFor(me.user, { scope: 'administrator' }));
      case 'expired':
        return bearer(tokenFor(me.user, { exp: 1_700_000_000, scope: 'admin' }));
      case 'wrong key':
        return bearer(tokenFor(me.user, { scope: 'admin' }, 'a secret that nobody here has ever heard of'));
      default:
        return this.operation.open ? [] : bearer(tokenOf(me.user, this.isAdmin));
    }
  }

  private bodyOf(body: unknown, me: Citizen): { body: Buffer | undefined; value: unknown } {
    if (body === undefined) return { body: undefined, value: undefined };
    if (!(body instanceof RawBody)) {
      const inserted = this.inserted(body, me);
      return { body: Buffer.from(JSON.stringify(inserted)), value: inserted };
    }
    return { body: body.bytes, value: body.value };
  }

  private inserted(value: unknown, me: Citizen): unknown {
    if (value instanceof Ref) return this.world.idOf(value, me);
    if (Array.isArray(value)) return value.map((inner) => this.inserted(inner, me));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.inserted(inner, me)]));
  }

  private seen({ what, pick, change }: Seen): string {
    const pages = this.pages.filter(({ me }) => (what === 'foreign cursor') === (me !== this.me));
    return change(pages[pick % pages.length]?.cursor ?? 'Q0ZPVDhXdnE');
  }
}

function asText(value: unknown): string {
  return typeof value === 'string'
    ? value
    : typeof value === 'object' && value !== null
      ? JSON.stringify(value)
      : String(value);
}

/** A text in an address. Half a surrogate pair becomes three bytes that are not valid UTF-8. */
function encoded(text: string): string {
  return text.isWellFormed()
    ? encodeURIComponent(text)
    : `${encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, ''))}%ed%a0%80`;
}

/** Text in a header as clients send it: its bytes in UTF-8, unless it consists of bytes already, and without line ends. */
function header(text: string): string {
  const inBytes = /^[\0-\xff]*$/.test(text) ? text : Buffer.from(text).toString('latin1');
  // eslint-disable-next-line no-control-regex
  return inBytes.replace(/[\0-\x08\x0a-\x1f\x7f]/g, '');
}

function withQuery(target: string, ...queries: (readonly (readonly [string, string])[])[]): string {
  return `${target.split('?', 1)[0]}?${new URLSearchParams(queries.flat().map(([name, value]): [string, string] => [name, value])).toString()}`;
}
