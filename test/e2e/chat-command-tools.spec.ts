import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { said, showReasoning, thoughts } from '../support/reasoning.js';
import { SECRET, type Stack, startStack } from '../support/stack.js';
import { clientTool, giveTools, httpTool, startTools, type Tools } from '../support/tools.js';
import { until } from '../support/until.js';

const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;
const EVIL = 'a\u001b[2Jb\u009b1mc\nd\u2028e\u202ef';
const SHOW = 'import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

// Python provides a terminal, if it is installed.
const itAsked = spawnSync('python3', ['-c', 'import pty']).status === 0 ? it : it.skip;

describe('npm run chat, with tools', () => {
  let stack: Stack;
  let tools: Tools;
  const running: ChildProcess[] = [];
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date', { result_schema: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d$' } }),
    ]);
    tools.answer('find_order', () => EVIL);
  });
  afterAll(async () => {
    for (const child of running) child.kill('SIGKILL');
    await tools.stop();
    await stack.stop();
  });

  interface Run {
    readonly process: ChildProcess;
    /** Waits until it has printed this, after all that was waited for before. */
    readonly says: (text: string) => Promise<unknown>;
    readonly types: (line: string) => void;
    readonly ended: Promise<{ out: string; code: number | null }>;
  }
  const start = (command: readonly string[], env: Record<string, string> = {}): Run => {
    const [file = '', ...args] = command;
    const child = spawn(file, args, {
      env: { PATH: process.env['PATH'], JWT_SECRET: SECRET, PORT: new URL(stack.api.url).port, NO_COLOR: '1', ...env },
    });
    running.push(child);
    let out = '';
    let from = 0;
    child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
    child.stderr.on('data', (chunk: Buffer) => (out += String(chunk)));
    return {
      process: child,
      says: async (text) => {
        await until(async () => out.includes(text, from), `“${text}” in ${out}`);
        from = out.indexOf(text, from) + text.length;
      },
      types: (line) => void child.stdin.write(`${line}\r`),
      ended: once(child, 'close').then(([code]) => ({
        out: out.replaceAll('\r\n', '\n'),
        code: code as number | null,
      })),
    };
  };
  const piped = (...args: string[]): Run => {
    const run = start([process.execPath, 'dist/tools/chat.js', ...args]);
    run.process.stdin?.end();
    return run;
  };
  const asked = (...args: string[]): Run =>
    start(['python3', '-c', SHOW, process.execPath, 'dist/tools/chat.js', ...args]);
  const callsOf = async (user: string): Promise<{ status: string; reason: string | null; result: string | null }[]> => {
    const { rows } = await stack.database.query(
      `SELECT c.status, c.reason, c.result FROM tool_calls c JOIN jobs j ON j.id = c.job_id
        WHERE j.user_id = $1 ORDER BY c.job_id, c.step, c.n`,
      [user],
    );
    return rows;
  };

  it('shows reasoning faintly on lines of its own, harmless to a terminal; a pipe gets the reply, and the sources as remarks', async () => {
    await showReasoning(stack, 'billing');
    const citation = { type: 'web_search_result_location', url: 'https://a.test/\u202e', title: `T${EVIL}` };
    const script = {
      blocks: [thoughts(`I think.${EVIL}\n`), { ...said('It is 42.'), citations: [citation] }],
      piece_delay_ms: 50,
    };
    await stack.model.script('a riddle', script);
    const pipe = await piped('billing', 'a riddle', '--user', 'rea').ended;
    expect(pipe).toEqual({ out: expect.stringMatching(/^It is 42\.\n/), code: 0 });
    expect(pipe.out).toMatch(/\nsource: T.*https:\/\/a\.test\/\ufffd\n$/);
    expect(pipe.out).not.toContain('I think');
    if (itAsked !== it) return;
    const run = start(
      ['python3', '-c', SHOW, process.execPath, 'dist/tools/chat.js', 'billing', 'a riddle', '--user', 'rea'],
      { NO_COLOR: '' },
    );
    const { out, code } = await run.ended;
    expect(code).toBe(0);
    const faint = out
      .split('\u001b[2m')
      .slice(1)
      .map((text) => text.split('\u001b', 1)[0]);
    expect(faint.join('')).toContain('(thinking) I think.a\ufffd[2Jb\ufffd1mc\nd');
    expect(out.replaceAll('\u001b[0m', '')).toContain('\nIt is 42.');
    expect(faint.join('')).not.toContain('It is');
    for (const order of ['\u001b[2J', '\u009b']) expect(out).not.toContain(order);
  });

  it('shows each call in a line, without anything that would control a terminal', async () => {
    const { out, code } = await piped('support', `use find_order {"order_id":${JSON.stringify(EVIL)}}`, '--user', 'ana')
      .ended;
    expect(code).toBe(0);
    const lines = out.split('\n').filter((line) => line.startsWith('⚙'));
    expect(lines.at(-1)).toBe(
      '⚙ find_order {"order_id":"a\\u001b[2Jb\ufffd1mc\\nd e\ufffdf"} gave a\ufffd[2Jb\ufffd1mc d e\ufffdf',
    );
  });

  it('says what waits and how it goes on, where there is nobody to ask, and ends', async () => {
    const { out, code } = await piped('support', 'use refund_order {"order_id":"1"}', '--user', 'ben').ended;
    expect([out, code]).toEqual([
      expect.stringMatching(
        /The turn waits for a person, and there is no terminal to ask one:\n {2}⚙ refund_order \{"order_id":"1"\} waits for an approval \[call [-\w]+\]\nAnswer in another client until 2\S+Z \[job [-\w]+\]\.\n$/,
      ),
      1,
    ]);
    expect(await callsOf('ben')).toMatchObject([{ status: 'awaiting_approval' }]);
    // A further line would wait for the same turn.
    const next = start([process.execPath, 'dist/tools/chat.js', 'support', '--user', 'ben']);
    next.process.stdin?.end('one\ntwo\n');
    const again = await next.ended;
    expect([again.out.match(/The turn waits/g)?.length, again.code]).toEqual([1, 1]);
  });

  itAsked('asks for an approval and for a result, and goes on to the reply', async () => {
    const run = asked(
      'support',
      `use refund_order {"order_id":${JSON.stringify(EVIL)}} and pick_date`,
      '--user',
      'cyd',
    );
    await run.says('May the assistant use refund_order?');
    await run.says('order_id: "a\\u001b[2Jb\ufffd1mc\\nd\ufffde\ufffdf"');
    await run.says('approve? (y/n)');
    run.types('perhaps');
    await run.says('approve? (y/n)');
    run.types('y');
    await run.says('the result of pick_date');
    await run.says('result (JSON or text)');
    run.types('tomorrow');
    await run.says('pattern');
    await run.says('result (JSON or text)');
    run.types('2026-12-01');
    const { out, code } = await run.ended;
    expect([out, code]).toEqual([expect.stringMatching(/gave refund_order done[^]*2026-12-01/), 0]);
    // eslint-disable-next-line no-control-regex -- no escape sequence but those of the line that is typed
    expect(out).not.toMatch(/\u001b\[2J|\u009b|\u202e/);
    expect(await callsOf('cyd')).toMatchObject([
      { status: 'succeeded', result: 'refund_order done' },
      { status: 'succeeded', result: '2026-12-01' },
    ]);
  });

  itAsked('denies with a reason, in a chat line by line, and takes the next line', async () => {
    const run = asked('support', '--user', 'dan');
    await run.says('you ▸');
    run.types('use refund_order');
    await run.says('approve? (y/n)');
    run.types('n');
    await run.says('why not?');
    run.types('Too dear.');
    await run.says('was denied (Too dear.)');
    await run.says('you ▸');
    run.types('and now?');
    await run.says('and now?');
    await run.says('you ▸');
    run.process.stdin?.write('\u0004');
    expect((await run.ended).code).toBe(0);
    expect(await callsOf('dan')).toMatchObject([{ status: 'denied', reason: 'Too dear.' }]);
  });

  itAsked('goes on when the answer comes from elsewhere meanwhile, and says so', async () => {
    const run = asked('support', 'use refund_order and pick_date', '--user', 'eve');
    await run.says('approve? (y/n)');
    const eve = stack.as('eve');
    const { unfinished_job_id: job } = await eve.chat();
    const { body } = await eve.get(`/api/v1/jobs/${job}/tool-calls`);
    const [refund, date] = body.data as { id: string }[];
    await eve.patch(`/api/v1/jobs/${job}/tool-calls/${refund?.id}`, { decision: 'deny' });
    await run.says('It was answered elsewhere.');
    await run.says('result (JSON or text)');
    await eve.patch(`/api/v1/jobs/${job}/tool-calls/${date?.id}`, { result: { content: '2026-12-24' } });
    await run.says('It was answered elsewhere.');
    expect(await run.ended).toMatchObject({ code: 0, out: expect.stringContaining('2026-12-24') });
  });

  itAsked('cancels the turn on Ctrl-C, and leaves it waiting on Ctrl-D', async () => {
    const stopped = asked('support', 'use refund_order', '--user', 'fay');
    await stopped.says('approve? (y/n)');
    stopped.process.stdin?.write('\u0003');
    expect((await stopped.ended).code).toBe(130);
    expect(await callsOf('fay')).toMatchObject([{ status: 'canceled' }]);
    const left = asked('support', 'use refund_order', '--user', 'gus');
    await left.says('approve? (y/n)');
    left.process.stdin?.write('\u0004');
    expect(await left.ended).toMatchObject({ code: 1, out: expect.stringContaining('Answer in another client until') });
    expect(await callsOf('gus')).toMatchObject([{ status: 'awaiting_approval' }]);
  });
});
