import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { borrowStack } from '../support/borrow-stack.js';
import { SECRET, type Stack } from '../support/stack.js';
import { until } from '../support/until.js';

/**
 * V8 then does not optimise the HTTP parser of a process that reads a few answers, as in `tools/build/launch.ts`. That would be a fifth of
 * the work of one chat.
 */
const NODE_FLAG = '--wasm-tiering-budget=2000000000';

describe('npm run chat', () => {
  let stack: Stack;
  const running: ChildProcess[] = [];
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(async () => {
    for (const child of running) child.kill('SIGKILL');
    await stack.stop();
  });

  interface Run {
    readonly process: ChildProcess;
    /** Waits until it has printed this text to standard error. */
    readonly says: (text: string) => Promise<unknown>;
    /** Its output, and its exit code. */
    readonly ended: Promise<{ out: string; err: string; code: number | null }>;
  }
  const chat = (args: readonly string[], input = '', env: Record<string, string> = {}): Run => {
    const child = spawn(process.execPath, [NODE_FLAG, 'dist/tools/chat.js', ...args], {
      env: { PATH: process.env['PATH'], JWT_SECRET: SECRET, PORT: new URL(stack.api.url).port, ...env },
    });
    running.push(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
    child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
    child.stdin.end(input);
    return {
      process: child,
      says: (text) => until(async () => err.includes(text), text),
      ended: once(child, 'close').then(([code]) => ({ out, err, code: code as number | null })),
    };
  };

  it('prints one reply and nothing else, and exits', async () => {
    const { out, err, code } = await chat(['support', '¿Cómo reinstalo el software?']).ended;
    expect([out, err, code]).toEqual([
      expect.stringMatching(/^\[Modelo de prueba\] Has preguntado: «¿Cómo reinstalo el software\?»[^]*\)\n$/),
      '',
      0,
    ]);
  });

  it('answers line by line in one chat, and begins another on demand', async () => {
    const { out, code } = await chat(['billing', '--user', 'ana'], 'uno\n\ndos\n').ended;
    expect([out, code]).toEqual([
      expect.stringMatching(/^\[Stand-in model\] You asked: "uno"[^]*\)\n\[Stand-in model\] You asked: "dos"[^]*\)\n$/),
      0,
    ]);
    await chat(['billing', 'tres', '--user', 'ana', '--new']).ended;
    const { body } = await stack.as('ana').get('/api/v1/chats');
    expect(body.data.map(({ status }: { status: string }) => status)).toEqual(['active', 'closed']);
  });

  it('cancels the turn on Ctrl-C, prints the text so far, and says so', async () => {
    await stack.model.script('slowly', { pieces: ['a ', 'b ', 'c ', 'd '], piece_delay_ms: 300, stall_after: 4 });
    const run = chat(['support', 'slowly', '--user', 'ben']);
    await until(async () => {
      const { rows } = await stack.database.query(`SELECT FROM jobs WHERE status = 'running' AND draft <> ''`);
      return rows.length > 0;
    }, 'some text');
    run.process.kill('SIGINT');
    // A terminal's Ctrl-C comes twice: from the terminal, and from npm.
    run.process.kill('SIGINT');
    const { out, err, code } = await run.ended;
    expect([out, err, code]).toEqual(['a b c d \n', 'Stopped; the reply so far is kept.\n', 130]);
    const { rows } = await stack.database.query(`SELECT status FROM jobs WHERE user_id = 'ben'`);
    expect(rows).toEqual([{ status: 'canceled' }]);
  });

  it('says why a reply is incomplete, and what helps after a failed turn', async () => {
    const stop_details = { category: 'cyber', explanation: 'This could do harm.' };
    const text = 'as far as it goes';
    for (const [script, out, err] of [
      [{ text, stop_reason: 'max_tokens' }, text, /^Cut off: the reply has reached its greatest length/],
      [{ text, stop_reason: 'model_context_window_exceeded' }, text, /^Cut off: the chat left the model no room/],
      [{ text, stop_reason: 'refusal' }, text, /^The model refused to go on\.\n$/],
      [
        { empty_content: true, stop_reason: 'refusal', stop_details },
        '',
        /^The model refused to answer: This could do harm\.\n$/,
      ],
    ] as const) {
      await stack.model.script('incompletely', script, 1);
      const run = await chat(['support', 'incompletely', '--user', 'jim']).ended;
      expect([run.out, run.err, run.code]).toEqual([`${out}\n`, expect.stringMatching(err), 0]);
    }
    for (const [say, script, words] of [
      // Also with less history.
      [
        'too long',
        { status: 413, error_type: 'request_too_large' },
        /message_too_long, job .*\]\nA shorter message helps\./,
      ],
      [
        'a tool',
        { text: '', stop_reason: 'tool_use' },
        /model_rejected, job .*\]\nIt may help to say it in other words\./,
      ],
    ] as const) {
      await stack.model.script(say, script);
      const run = await chat(['support', say, '--user', 'jim']).ended;
      expect([run.out, run.err, run.code]).toEqual(['', expect.stringMatching(words), 1]);
    }
  });

  it('ends on the second Ctrl-C, even if the service does not answer', async () => {
    await stack.model.script('mute', { hang_before_headers: true });
    const run = chat(['support', 'mute', '--user', 'flo']);
    await until(async () => {
      const { rows } = await stack.database.query(`SELECT FROM jobs WHERE user_id = 'flo'`);
      return rows.length > 0;
    }, 'the turn');
    stack.api.freeze();
    try {
      // Two signals that reach a busy process together count as one, like npm's. So press again, as a person would.
      const pressing = setInterval(() => run.process.kill('SIGINT'), 500);
      expect(await run.ended.finally(() => clearInterval(pressing))).toMatchObject({ code: 130 });
    } finally {
      stack.api.thaw();
    }
  });

  it('ends silently when nobody reads its output any more, and tells a script that a turn failed', async () => {
    const unread = chat(['support', 'hello', '--user', 'gus']);
    unread.process.stdout?.destroy();
    expect(await unread.ended).toMatchObject({ err: '', code: 141 });
    await stack.model.script('not this', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    expect((await chat(['support', '--user', 'gus'], 'not this\nbut this\n').ended).code).toBe(1);
  });

  // Python provides a terminal, if it is installed.
  const itWatched = spawnSync('python3', ['-c', 'import pty']).status === 0 ? it : it.skip;
  itWatched('passes no control characters of the model to a terminal', async () => {
    const evil = 'a\u001b[2Jb\u009b1mc\u0007d\te\r\nf\rg';
    await stack.model.script('orders', { text: evil });
    const show = 'import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
    const child = spawn(
      'python3',
      ['-c', show, process.execPath, NODE_FLAG, 'dist/tools/chat.js', 'support', 'orders', '--user', 'hal'],
      {
        env: { PATH: process.env['PATH'], JWT_SECRET: SECRET, PORT: new URL(stack.api.url).port, NO_COLOR: '1' },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    running.push(child);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
    await once(child, 'close');
    expect(out.replaceAll('\r\n', '\n')).toBe('support ▸ a\ufffd[2Jb\ufffd1mc\ufffdd\te\nf\ufffdg\n');
    expect((await chat(['support', 'orders', '--user', 'ida']).ended).out).toBe(`${evil}\n`);
  });

  it('shows a reply that is already on its way first', async () => {
    const cleo = stack.as('cleo');
    const { id } = await cleo.chat();
    await stack.model.script('the first', { text: 'first' });
    for (const worker of stack.workers) worker.freeze();
    try {
      await cleo.turnAsync(id, 'the first');
      const { ended, says } = chat(['support', 'the second', '--user', 'cleo']);
      await says('A turn is in progress');
      for (const worker of stack.workers) worker.thaw();
      expect((await ended).out).toMatch(/^first\n[^\n]*the second[^]*\)\n$/);
    } finally {
      for (const worker of stack.workers) worker.thaw();
    }
  });

  it('says in one line what is wrong', async () => {
    const failed = async (args: string[], env?: Record<string, string>): Promise<[string, number | null]> => {
      const { out, err, code } = await chat(args, '', env).ended;
      expect(out).toBe('');
      return [err, code];
    };
    expect(await failed(['nobody', 'hi'])).toEqual([
      expect.stringMatching(/billing, general, support\n.*not_found/),
      1,
    ]);
    expect(await failed(['support', 'hi'], { PORT: '9' })).toEqual([expect.stringContaining('is it running?'), 1]);
    expect(await failed(['support', 'hi', '--token', 'x'])).toEqual([expect.stringContaining('unauthorized'), 1]);
    expect(await failed([])).toEqual([expect.stringContaining('npm run chat -- <assistant>'), 2]);
    expect(await failed(['support', '--nope'])).toEqual([expect.stringContaining('--nope'), 2]);
    await stack.model.script('no', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    expect(await failed(['support', 'no', '--user', 'dan'])).toEqual([expect.stringContaining('refused'), 1]);
  });
});
