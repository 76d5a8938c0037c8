import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Gates } from '../support/gates.js';
import type { Stack } from '../support/stack.js';
import type { Tools } from '../support/tools.js';
import { until } from '../support/until.js';
import { courseOf, type HeldTurn, isAbout, orderOf, type Request, resultOf } from './course.js';
import { type Course, gateOf, type Moment, TOOLS, type ToolName, WITH_CALLS } from './moments.js';

/** How often to look whether turns are at their moments, and how long they may take, in milliseconds. */
const LOOK_MS = 150;
const LONGEST_MS = 60_000;

/** A request that the tools' server does not answer yet. */
interface Held {
  readonly callId: string;
  readonly answer: () => void;
}

/** Brings turns to their moments, many at the same time, and finds out how they went. */
export class TurnsAtMoments {
  private turns: readonly HeldTurn[] = [];
  private readonly requests: Request[] = [];
  /** The first request of each of these is held, by `TOOL ORDER`. */
  private readonly toHold = new Set<string>();
  private readonly held = new Map<string, Held>();

  private constructor(
    private readonly stack: Stack,
    private readonly tools: Tools,
    readonly gates: Gates,
  ) {}

  static async on(stack: Stack, tools: Tools): Promise<TurnsAtMoments> {
    const turns = new TurnsAtMoments(stack, tools, await Gates.install(stack));
    for (const tool of TOOLS) turns.serve(tool);
    return turns;
  }

  /** Sends a turn for each moment. Resolves once each is at its moment. @param round names these turns */
  async bring(round: string, moments: readonly Moment[]): Promise<void> {
    this.turns = moments.map((moment, n) => {
      const user = `${round} ${n}`;
      const steps = WITH_CALLS.map((step) =>
        TOOLS.map((tool) => `${tool} {"order_id":"${orderOf(user, step)}"}`).join(' and '),
      );
      return { moment, user, text: `${user}: use ${steps.join(' then use ')}` };
    });
    const claims = this.turns.filter(({ moment }) => moment.at === 'claim');
    const others = this.turns.filter(({ moment }) => moment.at !== 'claim');
    // A claim takes several jobs, so one that waits would keep other turns from their moments.
    for (const turns of [others, claims]) {
      await Promise.all(turns.map((turn) => this.send(turn)));
      await this.untilThere(turns);
    }
  }

  /** Answers the requests that are held. */
  release(): void {
    for (const { answer } of this.held.values()) answer();
  }

  /** How the turns went, by the names of their moments. Waits until all have ended. */
  async courses(): Promise<Record<string, Course>> {
    const { database, model } = this.stack;
    await until(
      async () => (await database.query('SELECT FROM jobs WHERE finished_at IS NULL')).rows.length === 0,
      'the end of all turns',
    );
    const { rows } = await database.query<{ user_id: string; status: string }>('SELECT user_id, status FROM jobs');
    const statuses = new Map(rows.map(({ user_id, status }) => [user_id, status]));
    const calls = await model.allCalls();
    return Object.fromEntries(
      this.turns.map((turn) => {
        const status = statuses.get(turn.user) ?? 'gone';
        return [turn.moment.name, courseOf(turn, status, calls.filter(isAbout(turn)), this.requests)];
      }),
    );
  }

  /** The moments of these users' turns. */
  namesOf(users: readonly string[]): string[] {
    return this.turns.filter(({ user }) => users.includes(user)).map(({ moment }) => moment.name);
  }

  private async send({ moment, user, text }: HeldTurn): Promise<void> {
    const { step, tool, script } = moment;
    if (script !== undefined) {
      await this.stack.model.script(`${user}:`, {}, step - 1);
      await this.stack.model.script(`${user}:`, script, 1);
    }
    if (tool !== undefined) this.toHold.add(`${tool} ${orderOf(user, step)}`);
    const gate = gateOf(moment);
    if (gate !== undefined) await this.gates.close(user, gate);
    const client = this.stack.as(user);
    await client.turnAsync((await client.chat()).id, text);
  }

  private async untilThere(turns: readonly HeldTurn[]): Promise<void> {
    let missing = turns;
    for (const deadline = Date.now() + LONGEST_MS; missing.length > 0;) {
      await pause(LOOK_MS);
      missing = await this.missing(turns);
      if (Date.now() < deadline) continue;
      throw new Error(`Turns did not come to: ${missing.map(({ moment }) => moment.name).join('; ')}`);
    }
  }

  /** The turns that are not at their moments. Tools whose results are to be stored answer when the other call has ended. */
  private async missing(turns: readonly HeldTurn[]): Promise<readonly HeldTurn[]> {
    const [gated, begun, ready] = await Promise.all([this.gates.awaited(), this.begun(), this.ready()]);
    const isThere = ({ user, moment: { at, step, tool } }: HeldTurn): boolean => {
      const held = this.held.get(`${tool} ${orderOf(user, step)}`);
      const isHeld = held !== undefined && ready.has(held.callId);
      if (isHeld && at === 'store') held.answer();
      if (at === 'sent') return isHeld;
      return at === 'answering' ? begun.has(`${user} ${step}`) : !gated.has(user);
    };
    const missing = turns.filter((turn) => !isThere(turn));
    return missing.length > 0 ? missing : this.unasked(turns);
  }

  /** The turns of which the model has not got the request that it is to get. */
  private async unasked(turns: readonly HeldTurn[]): Promise<readonly HeldTurn[]> {
    const { calls } = await this.stack.model.bill();
    return turns.filter((turn) => {
      const asked = calls.filter(isAbout(turn));
      const isThere = asked.length === turn.moment.step && asked.at(-1)?.outcome === 'running';
      return turn.moment.at === 'asked' && !isThere;
    });
  }

  /** The steps, as `USER STEP`, for which a heartbeat has saved that the answer began. */
  private async begun(): Promise<ReadonlySet<string>> {
    const { rows } = await this.stack.database.query<{ step: string }>(
      `SELECT j.user_id || ' ' || c.step AS step FROM jobs j JOIN model_calls c ON c.job_id = j.id
        WHERE c.outcome = 'running' AND c.message_id IS NOT NULL`,
    );
    return new Set(rows.map(({ step }) => step));
  }

  /** Those held calls whose step has no other call without a result. */
  private async ready(): Promise<ReadonlySet<string>> {
    const { rows } = await this.stack.database.query<{ id: string }>(
      `SELECT c.id FROM tool_calls c WHERE c.id = ANY ($1) AND NOT EXISTS (
         SELECT FROM tool_calls o WHERE o.job_id = c.job_id AND o.step = c.step AND o.id <> c.id AND o.result IS NULL)`,
      [[...this.held.values()].map(({ callId }) => callId)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  private serve(tool: ToolName): void {
    this.tools.answer(tool, async ({ callId, input }, response, { headers }) => {
      const order = String(input['order_id']);
      this.requests.push({ tool, order, callId, key: headers['idempotency-key'] });
      const name = `${tool} ${order}`;
      if (this.toHold.delete(name)) {
        const released = new Promise<void>((answer) => this.held.set(name, { callId, answer }));
        await Promise.race([released, once(response, 'close')]);
        this.held.delete(name);
      }
      return response.destroyed ? undefined : resultOf(tool, order);
    });
  }
}
