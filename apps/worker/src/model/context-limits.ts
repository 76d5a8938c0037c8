/** Most models whose limits are remembered, and for how long, in milliseconds: a provider may raise them. */
const MOST_MODELS = 100;
const KNOWN_FOR_MS = 60 * 60 * 1_000;

/**
 * The longest prompts that models have said they take, where an assistant's limit is higher. A window that only shrank after each refusal
 * would grow into the next one.
 */
export class ContextLimits {
  private readonly limits = new Map<string, { readonly most: number; readonly until: number }>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Most tokens of a prompt for a model; Infinity: it has not said. */
  of(model: string): number {
    const limit = this.limits.get(model);
    return limit === undefined || limit.until < this.now() ? Infinity : limit.most;
  }

  /** Notes that the model takes prompts of at most this many tokens. */
  learn(model: string, most: number): void {
    if (!(most > 0)) return;
    this.limits.delete(model);
    this.limits.set(model, { most, until: this.now() + KNOWN_FOR_MS });
    const [oldest] = this.limits.keys();
    if (this.limits.size > MOST_MODELS && oldest !== undefined) this.limits.delete(oldest);
  }

  /** Notes that the model has taken a prompt of this many tokens. What it said before may not have been its limit. */
  accepted(model: string, tokens: number): void {
    if (tokens > this.of(model)) this.limits.delete(model);
  }
}
