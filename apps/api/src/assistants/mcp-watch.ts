import { type BeforeApplicationShutdown, Logger } from '@nestjs/common';
import { Gauge } from 'prom-client';
import type { HealthDetails } from '#health/health-details.js';
import { CLOSE_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { registry } from '#telemetry/registry.js';
import type { AssistantsFile } from './assistants-file.js';
import type { AssistantsService } from './assistants.service.js';
import type { McpServer } from './check-mcp-servers.js';
import { type Answer, listServers } from './list-servers.js';
import type { Listings, Unpinned } from './pinned-tools.js';

/** Pauses before servers that are away are asked again: each is twice the last, up to the longest. In milliseconds. */
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 600_000;

/** Most tools that the log names of one server. */
const MOST_NAMED = 20;

/** A server that an assistant names. */
interface Watched {
  readonly server: McpServer;
  /** Whether the assistants have what it lists. */
  up: boolean;
  since: Date;
  /** Why it is away, as the log has it. */
  reason?: string;
}

const serverUp = new Gauge({
  name: 'rejoinder_mcp_server_up',
  help: 'Whether this process has the tools of an MCP server: 1, or 0 while the server is away.',
  labelNames: ['server'],
  registers: [registry],
});

/**
 * Loads the assistants with the tools that their MCP servers list. Each server is asked once, at the start. One that is away keeps nobody
 * waiting: its assistants start with the tools that they had, and it is asked again in the background until it answers.
 */
export class McpWatch implements BeforeApplicationShutdown, HealthDetails {
  private readonly logger = new Logger(McpWatch.name);
  private readonly stop = new AbortController();
  private readonly watched = new Map<string, Watched>();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  /** @param list asks the servers @param firstPauseMs the first pause, in milliseconds */
  constructor(
    private readonly assistants: Pick<AssistantsService, 'load' | 'loadTools'>,
    private readonly list = listServers,
    private readonly firstPauseMs = FIRST_PAUSE_MS,
  ) {}

  /** Loads the assistants of a file. Call it once. @throws what the database throws; never because of a server */
  async load(file: AssistantsFile): Promise<void> {
    const named = new Set(file.definitions.flatMap(({ mcp_servers }) => mcp_servers));
    const servers = [...file.servers.values()].filter(({ name }) => named.has(name));
    if (servers.length === 0) return void (await this.assistants.load(file));
    for (const server of servers) this.watched.set(server.name, { server, up: false, since: new Date() });
    const listings = this.listingsOf(await this.list(servers, this.stop.signal));
    this.loaded(listings, await this.assistants.load(file, listings));
    this.askAgain(file, this.firstPauseMs);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stop.abort();
    clearTimeout(this.timer);
    // PostgreSQL may be silent.
    await within(CLOSE_MS, this.running, undefined);
  }

  healthDetails(): { mcp_servers?: readonly { name: string; status: 'up' | 'away'; since: string }[] } {
    if (this.watched.size === 0) return {};
    return {
      mcp_servers: [...this.watched].map(([name, { up, since }]) => ({
        name,
        status: up ? 'up' : 'away',
        since: since.toISOString(),
      })),
    };
  }

  private askAgain(file: AssistantsFile, pauseMs: number): void {
    const away = [...this.watched.values()].filter(({ up }) => !up).map(({ server }) => server);
    if (away.length === 0 || this.stop.signal.aborted) return;
    const next = (): void => {
      this.running = this.loadAway(file, away).finally(() =>
        this.askAgain(file, Math.min(2 * pauseMs, LONGEST_PAUSE_MS)),
      );
    };
    // The pauses vary, so that many processes do not ask at the same moment.
    this.timer = setTimeout(next, pauseMs * (0.5 + Math.random() / 2)).unref();
  }

  /** Never rejects. */
  private async loadAway(file: AssistantsFile, away: readonly McpServer[]): Promise<void> {
    try {
      const answers = await this.list(away, this.stop.signal);
      if (this.stop.signal.aborted) return;
      const listings = this.listingsOf(answers);
      if (listings.size > 0) this.loaded(listings, await this.assistants.loadTools(file, listings));
    } catch (error) {
      this.logger.warn(logLine('cannot load the tools of MCP servers', {}, error));
    }
  }

  /** The listings among the answers. Says which servers are away, and which of their tools cannot be used. */
  private listingsOf(answers: ReadonlyMap<McpServer, Answer>): Listings {
    const listings = new Map<string, Extract<Answer, { tools: unknown }>['tools']>();
    for (const [{ name }, answer] of answers) {
      if ('away' in answer) this.isAway(name, answer.away);
      else {
        listings.set(name, answer.tools);
        this.sayLeftOut(answer.leftOut.map((tool) => ({ server: name, tool: tool.name, reason: tool.reason })));
      }
    }
    return listings;
  }

  private isAway(name: string, reason: string): void {
    serverUp.set({ server: name }, 0);
    const watched = this.watched.get(name);
    if (watched === undefined || watched.reason === reason) return;
    watched.reason = reason;
    this.logger.warn(
      logLine(`the MCP server ${name} is away: its assistants keep the tools that they had`, { reason }),
    );
  }

  private loaded(listings: Listings, unpinned: readonly Unpinned[]): void {
    for (const [name] of listings) {
      serverUp.set({ server: name }, 1);
      const watched = this.watched.get(name);
      if (watched === undefined) continue;
      if (watched.reason !== undefined) this.logger.log(`the MCP server ${name} is back`);
      Object.assign(watched, { up: true, since: new Date(), reason: undefined });
    }
    this.sayLeftOut(unpinned.filter(({ server }) => listings.has(server)));
  }

  private sayLeftOut(tools: readonly Unpinned[]): void {
    for (const { server, tool, reason } of tools.slice(0, MOST_NAMED)) {
      this.logger.warn(logLine(`a tool of the MCP server ${server} is left out`, { tool, reason }));
    }
    const more = tools.length - MOST_NAMED;
    if (more > 0) this.logger.warn(logLine('more tools of MCP servers are left out', { count: more }));
  }
}
