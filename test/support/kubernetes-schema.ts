import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1';
import * as apps from 'kubernetes-models/apps/v1';
import * as autoscaling from 'kubernetes-models/autoscaling/v2';
import * as batch from 'kubernetes-models/batch/v1';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';

type Kinds = Readonly<Record<string, unknown>>;

/** The schemas of Kubernetes' own OpenAPI and of KEDA's resource definitions, compiled to functions. */
const SCHEMAS: Readonly<Record<string, Kinds>> = {
  v1: core,
  'apps/v1': apps,
  'autoscaling/v2': autoscaling,
  'batch/v1': batch,
  'networking.k8s.io/v1': networking,
  'policy/v1': policy,
  'keda.sh/v1alpha1': keda,
};

/**
 * Faults of a Kubernetes object by the schema of its kind. The schemas allow fields that they do not name, and Kubernetes drops such fields
 * silently. So a field that the check never reads is a fault, too.
 */
export function schemaFaults(object: { readonly apiVersion: string; readonly kind: string }): string[] {
  const kind = SCHEMAS[object.apiVersion]?.[object.kind] as
    { prototype: { validate(this: unknown): void } } | undefined;
  if (kind === undefined) return [`there is no schema for ${object.kind} of ${object.apiVersion}`];
  const watched = new Watched(object);
  try {
    kind.prototype.validate.call(watched.proxy);
  } catch (error) {
    return [(error as Error).message];
  }
  return watched.unseen('').map((path) => `${path} is no field`);
}

/** An object that remembers which of its fields were read. */
class Watched {
  readonly proxy: object;
  private readonly seen = new Set<string>();
  private readonly below = new Map<string, Watched>();

  constructor(private readonly object: object) {
    this.proxy = new Proxy(object, { get: (_, name) => this.read(name) });
  }

  /** The paths of the fields that were not read. */
  unseen(path: string): string[] {
    return Object.keys(this.object).flatMap((name) =>
      this.seen.has(name) ? (this.below.get(name)?.unseen(`${path}/${name}`) ?? []) : [`${path}/${name}`],
    );
  }

  private read(name: string | symbol): unknown {
    const value = (this.object as Record<string | symbol, unknown>)[name];
    if (typeof name === 'symbol' || !Object.hasOwn(this.object, name)) return value;
    this.seen.add(name);
    if (typeof value !== 'object' || value === null) return value;
    const watched = this.below.get(name) ?? new Watched(value);
    this.below.set(name, watched);
    return watched.proxy;
  }
}
