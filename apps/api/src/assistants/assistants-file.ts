import { readFile } from 'node:fs/promises';
import { type AssistantDefinition, checkAssistant } from './check-assistant.js';
import { checkMcpServers, type McpServer } from './check-mcp-servers.js';
import { checkPrices, type Prices } from './check-prices.js';
import type { Checking } from './checking.js';
import { AssistantsFileError, type Fault, Faults, sentence } from './faults.js';
import { Fields, isMapping } from './fields.js';
import { compilerFault } from './schema-fault.js';
import { readYaml } from './yaml-document.js';

/** The contents of the assistants file. */
export interface AssistantsFile {
  readonly definitions: readonly AssistantDefinition[];
  /** Undefined: the file has none. */
  readonly prices?: Prices | undefined;
  /** The MCP servers by their names. */
  readonly servers: ReadonlyMap<string, McpServer>;
}

/** The facts that a check may need besides the file. */
export interface CheckOptions {
  /** Tools that a worker runs with `POST` are a fault, because `TOOLS_SECRET` is missing. */
  readonly lacksToolsSecret?: boolean;
  /** Users have a budget in money (`USER_COST_PER_DAY`), so every model needs a price. */
  readonly usersHaveCost?: boolean;
  /** The environment whose variables the file may name (default: the process's). */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Reads the definitions.
 * @throws AssistantsFileError with all faults of the file, each with its line, or the reason why there is no such file
 */
export async function readAssistantsFile(path: string, options: CheckOptions = {}): Promise<AssistantsFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new AssistantsFileError(path, [error instanceof Error ? error.message : String(error)]);
  }
  const yaml = readYaml(text);
  const { faults, ...file } = yaml.faults.length > 0 ? NOTHING : await checkAssistants(yaml.value, options);
  const found = [
    ...yaml.faults,
    ...faults.map((fault) => ({ line: yaml.lineOf(fault.path), words: sentence(fault, yaml.value) })),
  ];
  if (found.length === 0) return file;
  const inOrder = found.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const said = inOrder.map(({ line, words }) => (line === undefined ? words : `line ${line}: ${words}`));
  throw new AssistantsFileError(path, [...new Set(said)]);
}

const NOTHING: AssistantsFile & { faults: Fault[] } = { definitions: [], servers: new Map(), faults: [] };

/** Checks a parsed file. It reads nothing but the environment, so that tests can check its faults. */
export async function checkAssistants(
  document: unknown,
  { lacksToolsSecret = false, usersHaveCost = false, env }: CheckOptions = {},
): Promise<AssistantsFile & { readonly faults: readonly Fault[] }> {
  const faults = new Faults();
  const checking: Checking = { faults, env, schemas: [] };
  const list = isMapping(document) ? document['assistants'] : undefined;
  const top = Array.isArray(list) && list.length > 0 ? Fields.of(document, [], faults) : undefined;
  if (top === undefined) {
    faults.add([], '`assistants` must be a list with entries');
    return { ...NOTHING, faults: faults.all };
  }
  const servers = checkMcpServers(top, checking);
  const prices = checkPrices(top);
  const names = Object.keys(top.values['mcp_servers'] ?? {});
  const slugs = new Set<string>();
  const definitions: AssistantDefinition[] = [];
  (list as readonly unknown[]).forEach((entry, n) => {
    const fields = Fields.of(entry, ['assistants', n], faults);
    if (fields === undefined) return;
    const definition = checkAssistant(fields, names, checking);
    const { slug, tools } = definition;
    if (slugs.has(slug)) faults.add(fields.path, 'is defined twice');
    if (typeof slug === 'string') slugs.add(slug);
    definitions.push(definition);
    checkBudget(fields, definition, prices, usersHaveCost);
    if (lacksToolsSecret && tools.some(({ run }) => run === 'http')) {
      const words = 'has a tool with `run: http`, whose requests are signed: TOOLS_SECRET is not set';
      faults.add([...fields.path, 'tools'], words);
    }
  });
  await checkSchemas(checking);
  return { definitions, prices, servers, faults: faults.all };
}

/** A budget in money needs the prices of all models that may answer. */
function checkBudget(
  fields: Fields,
  { cost_per_day, model, fallback_model }: AssistantDefinition,
  prices: Prices | undefined,
  usersHaveCost: boolean,
): void {
  if (cost_per_day === undefined && !usersHaveCost) return;
  for (const [field, name] of Object.entries({ model, fallback_model })) {
    if (typeof name !== 'string' || prices?.models.has(name) === true) continue;
    const price = `the price of ${JSON.stringify(name)} in \`prices\`, at the top of the file`;
    if (cost_per_day !== undefined) fields.fault('cost_per_day', `needs ${price}`);
    else fields.fault(field, `needs ${price}, because USER_COST_PER_DAY is set`);
  }
}

async function checkSchemas({ schemas, faults }: Checking): Promise<void> {
  for (const { path, schema } of schemas) {
    const fault = await compilerFault(schema);
    if (fault !== undefined) faults.add(path, fault);
  }
}
