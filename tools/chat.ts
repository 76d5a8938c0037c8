import { ApiError, Rejoinder, RejoinderError, TurnError } from '@rejoinder/client';
import { parseArgs } from 'node:util';
import { loadEnvFile } from '#settings/settings.js';
import { Conversation } from './chat/conversation.js';
import { NobodyAnswers } from './chat/nobody-answers.js';
import { Terminal } from './chat/terminal.js';
import { failureOf } from './chat/words.js';
import { signToken } from './sign-token.js';
import { leftAddress } from './start/address.js';

const USAGE = `Talks to an assistant of a running service.

  npm run chat -- <assistant>              a chat; Ctrl-C stops a reply (twice: leaves), Ctrl-D leaves
  npm run chat -- <assistant> "<text>"     prints one reply and exits (with --silent before "chat", nothing else)

Tool calls that need a person are asked for in the terminal. Without one, the program says what waits, and ends.

  --user   who talks (default demo); a token is signed for them, as \`npm run token\` does
  --token  a token to use instead
  --url    where the service is (default: where \`npm start\` has it, or else http://127.0.0.1:PORT)
  --new    closes the present chat, and begins another`;

/** Exit codes: the shell's for Ctrl-C, and the usual one for a wrong command line. */
const STOPPED = 130;
const BAD_CALL = 2;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      user: { type: 'string', default: 'demo' },
      token: { type: 'string' },
      url: { type: 'string' },
      new: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [assistant, text, ...rest] = positionals;
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (assistant === undefined || text?.trim() === '' || rest.length > 0) {
    console.error(USAGE);
    return BAD_CALL;
  }
  loadEnvFile();
  const { user } = values;
  const setting = (name: string): string | undefined => process.env[name]?.trim() || undefined;
  const baseUrl =
    values.url ?? leftAddress(setting('DATA_DIR') ?? '.data') ?? `http://127.0.0.1:${setting('PORT') ?? 3000}`;
  const client = new Rejoinder({
    baseUrl,
    token: values.token ?? (() => signToken(user, process.env, { expiresIn: '1h' })),
    retryForMs: 2_000,
    // This program prints the error itself, once the client gives up.
    onRetry: () => undefined,
  });
  const terminal = new Terminal();
  let failed = false;
  try {
    const chat = await Conversation.open(client, assistant, terminal, values.new);
    if (text !== undefined) return (await chat.ask(text)) === 'canceled' ? STOPPED : 0;
    chat.greet(values.token === undefined ? user : undefined);
    for await (const line of terminal.lines()) {
      if (line.trim() === '') continue;
      await chat.ask(line).catch((error: unknown) => {
        // The next line would only wait for the same turn.
        if (error instanceof NobodyAnswers) throw error;
        terminal.complain(explain(error, baseUrl));
        failed = true;
      });
    }
    // A person has seen the failure; a script needs the exit code.
    return failed && !terminal.watched ? 1 : 0;
  } catch (error) {
    terminal.complain(explain(error, baseUrl));
    return 1;
  } finally {
    terminal.close();
  }
}

/** An error of the service, or of the connection to it, in a line or two. @throws any other error */
function explain(error: unknown, baseUrl: string): string {
  if (error instanceof NobodyAnswers) return error.message;
  if (!(error instanceof RejoinderError)) throw error;
  if (error instanceof TurnError) return failureOf(error);
  if (!(error instanceof ApiError)) return `${error.message} (${baseUrl}; is it running? \`npm start\`)`;
  const details = error.details.map(({ field, message }) => `\n  ${field} ${message}`).join('');
  return `${error.message} [${error.code}, request ${error.requestId}]${details}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  // Among others, a command line that parseArgs rejects.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = BAD_CALL;
}
