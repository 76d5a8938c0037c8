import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BadLine, type Fault } from '../support/bad-line.js';
import { asking, hardTurn, type Setting } from '../support/hard-turn.js';
import { linesUnder } from '../support/page-lines.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';

const PAGE = 'docs/clients.md';
const run = promisify(execFile);

const hasPython = process.env['CI'] === 'true' || spawnSync('python3', ['--version']).status === 0;

const LATER = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
/** One answer is cut in mid-event, one is lost, one says "later", one is cut again, and one ends in order. */
const FAULTS: readonly Fault[] = [
  { cutAfter: 2_900 },
  { loseAnswer: true },
  { answer: LATER },
  { cutAfter: 3_300 },
  { endAfter: 2_600 },
];

type Program = (lines: string, turn: Setting) => [program: string, args: string[], env?: Record<string, string>];

const node: Program = (lines, { service, token, chat }) => [
  process.execPath,
  [
    '--input-type=module',
    '--eval',
    `const [service, token, chat] = ${JSON.stringify([service, token, chat])};
     const show = (text) => console.log(JSON.stringify(text));
     ${lines}`,
  ],
];
const python: Program = (lines, { service, token, chat }) => [
  'python3',
  [
    '-c',
    `import json\nservice, token, chat = json.loads('${JSON.stringify([service, token, chat])}')\n` +
      `def show(text): print(json.dumps(text))\n${lines}`,
  ],
];
const bash: Program = (lines, { service, token, chat }) => [
  'bash',
  ['-c', lines],
  { API: `${service}/api/v1`, TOKEN: token, CHAT: chat },
];

/** The texts that a client would show, from curl's output. */
function textsOf(printed: readonly any[]): string[] {
  let text = '';
  return printed.flatMap((data) => {
    if ('text' in data) text += data.text;
    else if ('content' in data) text = data.content;
    else if ('type' in data) return [];
    else text = text.slice(0, data.offset);
    return [text];
  });
}

describe('the examples of docs/clients.md show a reply once, over a connection that breaks and from a model that does', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const BEFORE_ALL = 'In JavaScript, before all others';
  const shownBy = async (program: Program, headings: readonly string[], turn: Setting): Promise<string[]> => {
    const lines = await Promise.all(headings.map((heading) => linesUnder(PAGE, heading)));
    const [file, args, env] = program(turn.asked(lines.join('\n')), turn);
    const { stdout } = await run(file, args, { env: { PATH: process.env['PATH'], ...env }, timeout: 60_000 });
    const printed = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line): unknown => JSON.parse(line));
    const texts = program === bash ? textsOf(printed) : (printed as string[]);
    return texts.filter((text, n) => text !== texts[n - 1]);
  };
  const show = async (program: Program, ...headings: string[]): Promise<void> => {
    const turn = await hardTurn(stack, `client ${headings.at(-1)}`, (n) => FAULTS[n]);
    const shown = await shownBy(program, headings, turn);
    turn.line.close();
    expect(await turn.faultsOf(shown)).toEqual([]);
    expect(turn.line.connections).toBeGreaterThanOrEqual(FAULTS.length);
  };

  it.concurrent('the typed client', () => show(node, 'The typed client'));
  it.concurrent('eventsource', () => show(node, BEFORE_ALL, '`eventsource`'));
  it.concurrent('fetch', () => show(node, BEFORE_ALL, '`fetch`'));
  it.concurrent('curl', () => show(bash, 'curl'));
  (hasPython ? it.concurrent : it.skip)('Python', () => show(python, 'Python'));

  it.concurrent('and ask only once when they are refused', async () => {
    const line = await BadLine.to(stack.api.url, () => undefined);
    const setting = { token: tokenFor('stranger'), chat: randomUUID(), service: line.url, asked: asking('hello') };
    const ends = [shownBy(node, [BEFORE_ALL, '`fetch`'], setting), shownBy(node, ['The typed client'], setting)];
    if (hasPython) ends.push(shownBy(python, ['Python'], setting));
    for (const end of ends)
      await expect(end).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/404|not_found/) });
    // This one has no promise to reject: it is closed, and nothing keeps the program running.
    expect(await shownBy(node, [BEFORE_ALL, '`eventsource`'], setting)).toEqual([]);
    expect(line.connections).toBe(ends.length + 1);
    line.close();
  });

  it.concurrent('and say once why there is none', async () => {
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    const user = stack.as('nobody’s');
    const { id: chat } = await user.chat();
    const { body } = await user.turn(chat, 'refused');
    const turn = { token: tokenFor('nobody’s'), chat, service: stack.api.url, asked: asking('refused') };
    const all: [Program, string[]][] = [
      [node, [BEFORE_ALL, '`eventsource`']],
      [node, [BEFORE_ALL, '`fetch`']],
      ...(hasPython ? [[python, ['Python']] as [Program, string[]]] : []),
    ];
    for (const [program, headings] of all) {
      const shown = await shownBy(program, headings, turn);
      expect([body.code, shown.at(-1)?.trim(), shown.length < 3]).toEqual(['assistant_failed', body.message, true]);
    }
  });
});
