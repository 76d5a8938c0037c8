import { developmentToolsSecret, newToolsSecret } from '#settings/development-secret.js';
import type { Settings } from '#settings/settings.js';
import { freePort } from '../free-port.js';
import type { Parts } from './parts.js';

/** The port of the example tool server, and how many after it are tried. */
const FIRST_PORT = 4010;
const TRIED = 10;

/** The assistants that ship, and the same with one more, which has the tools of the example server. */
const SHIPPED = 'assistants.yaml';
const WITH_TOOLS = 'examples/assistants.yaml';

/** The settings of API and worker that have to do with tools. */
export interface ToolsEnv {
  readonly TOOLS_SECRET: string;
  /** Left out: the environment names a file, or wants no example. */
  readonly ASSISTANTS_FILE?: string;
  /** Left out: the example server does not run here, or the environment names another one. */
  readonly EXAMPLE_TOOLS_URL?: string;
}

/**
 * Makes or finds the secret that signs requests to tools, and starts the example tool server for the assistants that ship. Other
 * assistants have no tools, or tools of their own.
 *
 * @param given `EXAMPLE_TOOLS_URL` of the environment
 */
export async function toolsEnv(
  parts: Parts,
  settings: Pick<Settings, 'tools' | 'assistantsFile' | 'port'>,
  dataDir: string,
  given: string | undefined,
): Promise<ToolsEnv> {
  const { secrets, example } = settings.tools;
  const TOOLS_SECRET = secrets.length > 0 ? secrets.join(' ') : secretFor(dataDir);
  if (!example || settings.assistantsFile !== SHIPPED) return { TOOLS_SECRET };
  if (given !== undefined) return { TOOLS_SECRET, ASSISTANTS_FILE: WITH_TOOLS };
  // Who lets the system choose the API's port gets any port here, too: several services may start at the same moment.
  const port = settings.port === 0 ? 0 : await nextFreePort();
  const EXAMPLE_TOOLS_URL = await new Promise<string>((resolve) => {
    const env = { TOOLS_SECRET, TOOL_SERVER_PORT: String(port) };
    parts.start('tools', 'examples/tool-server/server.js', env, (line) => {
      const address = /^The example tools are at (\S+)$/.exec(line)?.[1];
      if (address === undefined) console.log(`tools  │ ${line}`);
      else resolve(address);
    });
  });
  return { TOOLS_SECRET, ASSISTANTS_FILE: WITH_TOOLS, EXAMPLE_TOOLS_URL };
}

function secretFor(dataDir: string): string {
  try {
    return developmentToolsSecret(dataDir);
  } catch {
    // With a database and a JWT_SECRET of the user's own, nothing else needs DATA_DIR. All parts get this secret, so it need not be kept.
    return newToolsSecret();
  }
}

/** The first free port; 0, which stands for any, if none of those that are tried is free. */
async function nextFreePort(): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + TRIED; port += 1) {
    const isFree = await freePort(port).then(
      () => true,
      () => false,
    );
    if (isFree) return port;
  }
  return 0;
}
