import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Answer, Client } from '../support/client.js';
import { priced } from '../support/priced-assistants.js';
import { tokenFor } from '../support/stack.js';
import { imbalances, sweep } from '../support/sweep.js';
import { assistantsWith, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { stillReserved, unbilled } from './chaos.js';
import { BUDGETED, Fleet } from './fleet.js';
import { Killer } from './killer.js';
import { anySeed, Random } from './random.js';

/** The same seed gives the same harm, at about the same times. */
const seed = Number(process.env['TEST_SEED'] ?? anySeed());

const USERS = 10;
const FOR_MS = 25_000;
const TURN_MS = 180_000;

/** Five steps with parallel calls: of tools that may run twice, of tools that may not, and of one that a person must approve. */
const COMMAND =
  'use find_order and place_order then use find_order and opening_hours and place_order then use refund_order and find_order ' +
  'then use place_order and find_order then use opening_hours';
const CALLS = 10;

/** A call of a tool as the API shows it. */
interface Shown {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly result: string;
}

/** A user who does one turn after the other, through any API, and decides what awaits an approval. */
class Person {
  readonly jobs: string[] = [];

  constructor(
    private readonly name: string,
    private readonly urls: readonly string[],
    private readonly random: Random,
  ) {}

  async talk(until: () => boolean): Promise<void> {
    const { body: chat } = await this.call((client) =>
      client.post('/api/v1/assistants/support/chats', undefined, { 'idempotency-key': this.name }),
    );
    for (let n = 0; !until(); n += 1) await this.turn(chat.id as string, `${this.name}, question ${n}: ${COMMAND}`);
  }

  private async turn(chatId: string, text: string): Promise<void> {
    const headers = { 'idempotency-key': randomUUID(), prefer: 'respond-async' };
    const sent = await this.call((client) =>
      client.post(`/api/v1/chats/${chatId}/turns`, { user_message: text }, headers),
    );
    if (sent.status !== 202) throw new Error(`${text}: ${sent.status} ${JSON.stringify(sent.body)}`);
    const id = sent.body.id as string;
    this.jobs.push(id);
    for (const deadline = Date.now() + TURN_MS; Date.now() < deadline;) {
      const { body } = await this.call((client) => client.get(`/api/v1/jobs/${id}`, { headers: { prefer: 'wait=2' } }));
      if (['succeeded', 'failed', 'canceled'].includes(body.status as string)) return;
      for (const { id: callId } of (body.required_action?.tool_calls ?? []) as Shown[]) {
        // A second decision at once, through another API, must not count twice.
        const path = `/api/v1/jobs/${id}/tool-calls/${callId}`;
        const decide = (decision: string): Promise<Answer> => this.call((client) => client.patch(path, { decision }));
        const [first] = await Promise.all([decide('approve'), decide('approve')]);
        if (first.status !== 200)
          throw new Error(`${text}: the decision got ${first.status} ${JSON.stringify(first.body)}`);
      }
    }
    throw new Error(`${text}: job ${id} did not end`);
  }

  /** Tries again while connections break, and while the answer is 503. */
  private async call(send: (client: Client) => Promise<Answer>): Promise<Answer> {
    for (const deadline = Date.now() + TURN_MS; ;) {
      const answer = await send(new Client(this.random.pick(this.urls), tokenFor(this.name))).catch(
        (error: unknown) => {
          if (String(error).includes('Not what the contract says')) throw error;
          return undefined;
        },
      );
      if (answer !== undefined && answer.status !== 503) return answer;
      if (Date.now() > deadline) throw new Error(`no answer: ${JSON.stringify(answer?.body)}`);
      await pause(this.random.between(100, 500));
    }
  }
}

describe('turns of five steps with parallel tool calls, while workers, API, queue and database are killed at random', () => {
  let fleet: Fleet;
  let tools: Tools;
  beforeAll(async () => {
    tools = await startTools();
    const offered = [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'opening_hours', { repeatable: true }),
      httpTool(tools, 'place_order'),
      httpTool(tools, 'refund_order', { approval: 'always' }),
    ];
    const ASSISTANTS_FILE = await assistantsWith(offered, BUDGETED.support, {}, priced());
    fleet = await Fleet.start(undefined, { TOOLS_SECRET, ASSISTANTS_FILE });
  });
  afterAll(async () => {
    await tools?.stop();
    await fleet?.stop();
  });

  it('end; what may not run twice is asked for once; a finished step is never made again; the history is balanced at every instant', async () => {
    const random = new Random(seed);
    const delays = random.fork(1);
    for (const name of ['find_order', 'opening_hours', 'place_order', 'refund_order']) {
      tools.answer(name, async () => (await pause(delays.between(0, 400)), `${name} done`));
    }
    const end = Date.now() + FOR_MS;
    const over = (): boolean => Date.now() > end;
    const killer = new Killer(fleet, random.fork(2), over);
    const unbalanced: string[] = [];
    const watch = (async () => {
      while (!over()) {
        // The store may be away.
        unbalanced.push(...(await imbalances(fleet.stack).catch(() => [])));
        await pause(200);
      }
    })();
    killer.start();
    const people = Array.from({ length: USERS }, (_, n) => new Person(`person ${n}`, fleet.urls, random.fork(100 + n)));
    await Promise.all(people.map((person) => person.talk(over)));
    await killer.stop();
    await watch;

    const violations = [
      ...unbalanced,
      ...killer.violations,
      ...(await sweep(fleet.stack)),
      ...(await unbilled(fleet)),
      ...(await stillReserved(fleet.stack)),
    ];
    const { rows: jobs } = await fleet.stack.database.query<{ id: string; status: string; error_code: string | null }>(
      'SELECT id, status, error_code FROM jobs',
    );
    const failed = jobs.filter(
      ({ status, error_code }) => status !== 'succeeded' && error_code !== 'attempts_exhausted',
    );
    violations.push(...failed.map(({ id, status, error_code }) => `job ${id} is ${status} (${error_code})`));
    const { rows: calls } = await fleet.stack.database.query<Shown & { job_id: string }>(
      'SELECT t.id, t.job_id, t.name, t.status, t.result FROM tool_calls t',
    );
    for (const { id, name, status, result } of calls) {
      const asked = tools.requests.filter(({ callId }) => callId === id);
      const once = name === 'place_order' || name === 'refund_order';
      if (once && asked.length > 1) violations.push(`call ${id} of ${name} was made ${asked.length} times`);
      if (status === 'succeeded' && asked.length === 0)
        violations.push(`call ${id} of ${name} succeeded and was never made`);
      if (status === 'failed' && !(once && /unknown|reached/.test(result)))
        violations.push(`call ${id} of ${name}: ${result}`);
    }
    const known = new Set(calls.map(({ id }) => id));
    const stray = tools.requests.filter(({ callId }) => !known.has(callId));
    violations.push(...stray.map(({ callId, name }) => `call ${callId} of ${name} is not stored`));
    const succeeded = jobs.filter(({ status }) => status === 'succeeded');
    for (const { id } of succeeded) {
      const made = calls.filter(({ job_id }) => job_id === id).length;
      if (made !== CALLS) violations.push(`job ${id} has ${made} calls`);
    }
    if (violations.length > 0) throw new Error(`seed ${seed}\n${[...killer.deeds, ...violations].join('\n')}`);
    expect(succeeded.length).toBeGreaterThanOrEqual(USERS);
    expect(killer.deeds.length).toBeGreaterThan(5);
  }, 300_000);
});
