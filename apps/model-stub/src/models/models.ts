import { invalid, Refusal } from '../http.js';
import type { Lifecycle, Model } from './model.js';
import { modelInfo } from './model-info.js';
import { MODELS, ownModel } from './table.js';

const LIFECYCLES: readonly unknown[] = ['active', 'deprecated', 'retired'];

/** The fields of a model that a test may change, and their values. */
const CHANGES: Partial<Record<keyof Model, (value: unknown) => boolean>> = {
  max_input_tokens: isLimit,
  max_tokens: isLimit,
  lifecycle: (value) => LIFECYCLES.includes(value),
  deprecated_at: isMoment,
  retires_at: isMoment,
};

const USUAL_PAGE = 20;
const LARGEST_PAGE = 1_000;

/** The models of the table, with the changes of the test. */
export class Models {
  private readonly changed = new Map<string, Partial<Model>>();

  /**
   * The model with a name or an alias. A name that does not begin with `claude-` belongs to another server and is accepted. @throws Refusal
   * 404 for an unknown or retired one
   */
  toAnswer(name: string): Model {
    const model = this.named(name);
    if (model === undefined || model.lifecycle === 'retired') throw notFound(name);
    return model;
  }

  /** The answer to `GET /v1/models/{name}`. Unknown names get 404, although calls with them are answered. */
  info(name: string): object {
    const model = this.all().find(({ id, alias }) => id === name || alias === name);
    if (model === undefined) throw notFound(name);
    return modelInfo(model);
  }

  /** A page of `GET /v1/models`. @throws Refusal 400 for a query that the API would refuse */
  page(query: URLSearchParams): object {
    const limit = Number(query.get('limit') ?? USUAL_PAGE);
    if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_PAGE) {
      throw invalid(`limit: Input should be between 1 and ${LARGEST_PAGE}`);
    }
    const asked = [...query.getAll('lifecycle'), ...query.getAll('lifecycle[]')];
    if (!asked.every((one) => LIFECYCLES.includes(one))) {
      throw invalid("lifecycle: Input should be 'active', 'deprecated' or 'retired'");
    }
    const stages = asked.length > 0 ? asked : (['active', 'deprecated'] satisfies Lifecycle[]);
    const all = this.all().filter(({ lifecycle }) => stages.includes(lifecycle));
    const at = (name: string): number | undefined => {
      const id = query.get(name);
      if (id === null) return undefined;
      const place = all.findIndex((model) => model.id === id);
      if (place < 0) throw invalid(`${name}: ${id} is not in the list`);
      return place;
    };
    const before = at('before_id');
    const from = before === undefined ? (at('after_id') ?? -1) + 1 : Math.max(0, before - limit);
    const data = all.slice(from, before === undefined ? from + limit : before);
    return {
      data: data.map(modelInfo),
      has_more: before === undefined ? from + limit < all.length : from > 0,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    };
  }

  /** Changes a model, or adds one. @throws Error for a field that cannot be changed */
  change(request: unknown): void {
    const { id, ...changes } = (request ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || id === '') throw new Error('id must be a string');
    for (const [name, value] of Object.entries(changes)) {
      const check = CHANGES[name as keyof Model];
      if (check === undefined) throw new Error(`${name} cannot be changed`);
      if (!check(value)) throw new Error(`${name} has a wrong value`);
    }
    const known = MODELS.find((model) => model.alias === id)?.id ?? id;
    this.changed.set(known, { ...this.changed.get(known), ...changes });
  }

  /** Resets all models. */
  reset(): void {
    this.changed.clear();
  }

  private named(name: string): Model | undefined {
    const known = this.all().find(({ id, alias }) => id === name || alias === name);
    return known ?? (name.startsWith('claude-') ? undefined : ownModel(name));
  }

  private all(): Model[] {
    const own = [...this.changed.keys()].filter((id) => !MODELS.some((model) => model.id === id)).map(ownModel);
    return [...MODELS, ...own].map((model) => ({ ...model, ...this.changed.get(model.id) }));
  }
}

function notFound(name: string): Refusal {
  return new Refusal(404, 'not_found_error', `model: ${name}`);
}

function isLimit(value: unknown): boolean {
  return value === null || (Number.isInteger(value) && (value as number) > 0);
}

function isMoment(value: unknown): boolean {
  return value === null || (typeof value === 'string' && !Number.isNaN(Date.parse(value)));
}
