import { Injectable, Logger } from '@nestjs/common';
import { EntityManager, IsNull } from 'typeorm';
import { Assistant } from '#database/entities/assistant.entity.js';
import { releaseHeld } from '#jobs/holds.js';
import { notFound } from '#errors/service-error.js';
import type { AssistantsFile } from './assistants-file.js';
import type { AssistantDefinition } from './check-assistant.js';
import { arePinnedBy, type Listings, pinTools, type Unpinned } from './pinned-tools.js';
import { storePrices } from './store-prices.js';
import { stillOffered, storeDefinitions, storedTools } from './store-definitions.js';

const HAVE_BUDGETS = `SELECT EXISTS (SELECT FROM assistants WHERE cost_per_day IS NOT NULL) AS "haveBudgets"`;

@Injectable()
export class AssistantsService {
  private readonly logger = new Logger(AssistantsService.name);
  /** Whether an assistant has a budget, also one that is not on offer any more: its chats go on. */
  haveBudgets = false;

  constructor(private readonly manager: EntityManager) {}

  /**
   * Loads the definitions: new ones are added, changed ones get the next version, missing ones are retired. A turn is answered with the
   * definition at the time of its acceptance, unless that cannot be used and the turn waits.
   *
   * @param listings the tools of MCP servers. The tools of a server that is away stay as they are
   * @returns the tools that assistants did not get
   */
  async load(file: AssistantsFile, listings: Listings = new Map()): Promise<readonly Unpinned[]> {
    return this.store(async (manager) => {
      await manager.query(
        'UPDATE assistants SET retired_at = now() WHERE retired_at IS NULL AND NOT (slug = ANY ($1))',
        [file.definitions.map(({ slug }) => slug)],
      );
      await storePrices(manager, file.prices);
      return pinned(manager, file, file.definitions, listings);
    });
  }

  /**
   * Loads the tools of servers that were away at the start. It leaves alone what another process has loaded meanwhile from a newer file:
   * when a deployment replaces processes one by one, an old one must not undo what the new ones have done.
   *
   * @returns the tools that assistants did not get
   */
  async loadTools(file: AssistantsFile, listings: Listings): Promise<readonly Unpinned[]> {
    const concerned = file.definitions.filter(({ mcp_servers }) => mcp_servers.some((name) => listings.has(name)));
    return this.store(async (manager) => {
      const offered = await stillOffered(manager, concerned);
      const tools = await storedTools(manager, [...offered]);
      const ours = concerned.filter(
        (one) => offered.has(one.slug) && arePinnedBy(one, file.servers, tools.get(one.slug) ?? []),
      );
      return pinned(manager, file, ours, listings);
    });
  }

  /** The assistants on offer, by slug. */
  list(): Promise<Assistant[]> {
    return this.manager.find(Assistant, { where: { retiredAt: IsNull() }, order: { slug: 'ASC' } });
  }

  /** @throws ServiceError `not_found` */
  async get(slug: string): Promise<Assistant> {
    const assistant = await this.manager.findOneBy(Assistant, { slug, retiredAt: IsNull() });
    if (assistant === null) throw notFound('assistant');
    return assistant;
  }

  private async store(prepare: (manager: EntityManager) => Promise<Pinned>): Promise<readonly Unpinned[]> {
    const { unpinned, changed, released, haveBudgets } = await this.manager.transaction(async (manager) => {
      // Processes that load at once, with different files or listings, do so one after the other.
      await manager.query('LOCK TABLE assistants IN SHARE ROW EXCLUSIVE MODE');
      const { definitions, unpinned } = await prepare(manager);
      const changed = await storeDefinitions(manager, definitions);
      const slugs = changed.map(({ slug }) => slug);
      const [{ haveBudgets }] = await manager.query<[{ haveBudgets: boolean }]>(HAVE_BUDGETS);
      return { unpinned, changed, haveBudgets, released: slugs.length === 0 ? 0 : await releaseHeld(manager, slugs) };
    });
    this.haveBudgets = haveBudgets;
    for (const { slug, version } of changed) this.logger.log(`assistant ${slug} is at version ${version}`);
    if (released > 0) this.logger.log(`${released} turns that waited for an operator take the new definition`);
    return unpinned;
  }
}

interface Pinned {
  readonly definitions: Parameters<typeof storeDefinitions>[1];
  readonly unpinned: readonly Unpinned[];
}

/** These definitions of a file, with the tools of their servers. */
async function pinned(
  manager: EntityManager,
  { servers }: AssistantsFile,
  definitions: readonly AssistantDefinition[],
  listings: Listings,
): Promise<Pinned> {
  const stored = await storedTools(
    manager,
    definitions.map(({ slug }) => slug),
  );
  const all = definitions.map(({ mcp_servers, ...definition }) => {
    const { tools, unpinned } = pinTools(
      { ...definition, mcp_servers },
      servers,
      listings,
      stored.get(definition.slug) ?? [],
    );
    return { definition: { ...definition, tools }, unpinned };
  });
  return { definitions: all.map(({ definition }) => definition), unpinned: all.flatMap(({ unpinned }) => unpinned) };
}
