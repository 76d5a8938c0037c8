import { estimateInput, estimateOutput } from '#jobs/estimates.js';
import type { CallFigures } from '#jobs/ledger.js';

/**
 * The counts of tokens that the model reports. Input includes what the cache has a part in, output the thoughts, and what is written to the
 * cache the part that is written for an hour.
 */
const COUNTS = ['input', 'output', 'cacheRead', 'cacheWrite', 'cacheWrite1h', 'thinking'] as const;
type Count = (typeof COUNTS)[number];

/** Tokens as the model reports them; undefined: it reported none, or no valid number. */
export type Reported = { readonly [Name in Count]?: number | undefined } & {
  /** Requests of the provider's tools, by their names. */
  readonly serverTools?: Readonly<Record<string, number>> | undefined;
};

const NOTHING: Reported = {};

/**
 * The figures of one step's call of the model, for the ledger. A prompt that is too long is sent again, shorter. The figures are the sum
 * over these requests.
 */
export class Call {
  /** The model that is called; null: the job's own. */
  model: string | null = null;
  private messageId: string | null = null;
  private firstTextMs: number | null = null;
  private begun: number | undefined;
  /** The sum over finished requests, and the figures of the current one. */
  private before = { input: 0, output: 0, reported: NOTHING, estimated: false };
  private reported = NOTHING;
  private state: 'unsent' | 'waiting' | 'refused' | 'answering' | 'counted' = 'unsent';
  private sentBytes = (): number => 0;
  private seenBytes = 0;
  private hiddenMs = 0;
  private hiddenSince: number | undefined;
  private latest: CallFigures | undefined;

  /**
   * @param most the most output tokens of a request
   * @param onAnswer called each time the model begins to answer
   */
  constructor(
    readonly most: number,
    private readonly onAnswer: () => void,
  ) {}

  /** Notes that a request is sent. `bytes` returns its size, and is called only for an estimate. */
  begin(bytes: () => number): void {
    this.begun ??= performance.now();
    const { input, output, estimated } = this.now();
    this.before = {
      input: this.before.input + input,
      output: this.before.output + output,
      reported: sum(this.before.reported, this.reported),
      estimated: this.before.estimated || estimated,
    };
    this.reported = NOTHING;
    this.latest = undefined;
    this.sentBytes = bytes;
    this.seenBytes = 0;
    this.hiddenMs = 0;
    this.hiddenSince = undefined;
    this.state = 'waiting';
  }

  /** Notes that the request costs nothing: there was no connection, or no answer of a model. */
  refused(): void {
    if (this.state === 'waiting') this.state = 'refused';
  }

  /** Whether the model has begun to answer the current request. */
  get answered(): boolean {
    return this.state === 'answering' || this.state === 'counted';
  }

  /** Notes that the model has begun to answer. */
  answers(messageId: string, tokens: Reported): void {
    this.state = 'answering';
    this.messageId = messageId;
    this.report(tokens);
    this.onAnswer();
  }

  /** Notes that the answer is complete, with the tokens that it reports at its end. Reported counts only grow. */
  ends(tokens: Reported): void {
    if (tokens.output !== undefined) this.state = 'counted';
    this.report(tokens);
  }

  /** Notes that text arrived, and measures the time to the first text. */
  text(text: string): void {
    this.seenBytes += Buffer.byteLength(text);
    if (this.firstTextMs !== null || this.begun === undefined) return;
    this.firstTextMs = Math.round(performance.now() - this.begun);
    this.latest = undefined;
  }

  /** Notes output that is paid for and not shown. */
  unseen(text: string): void {
    this.seenBytes += Buffer.byteLength(text);
  }

  /** Notes whether the model thinks without showing it from now on. */
  hides(thinking: boolean): void {
    const now = performance.now();
    if (this.hiddenSince !== undefined) this.hiddenMs += now - this.hiddenSince;
    this.hiddenSince = thinking ? now : undefined;
  }

  /** The tokens of the last request's prompt; 0: the model did not report them. */
  get inputTokens(): number {
    return this.reported.input ?? 0;
  }

  /** The tokens of the last request's prompt and of the answer's text; null: the model did not report them. */
  get contextTokens(): number | null {
    const { input = 0, output = 0, thinking = 0 } = this.reported;
    return input > 0 ? input + Math.max(0, output - thinking) : null;
  }

  /** The figures so far, without estimates. When the model reports more, a new object replaces this one. */
  get figuresSoFar(): CallFigures {
    const { input, output } = this.reported;
    const { cacheRead, cacheWrite, cacheWrite1h, thinking, serverTools } = sum(this.before.reported, this.reported);
    const forHour = cacheWrite === undefined ? undefined : Math.min(cacheWrite, cacheWrite1h ?? 0);
    this.latest ??= {
      model: this.model,
      messageId: this.messageId,
      inputTokens: plus(this.before.input, input),
      outputTokens: plus(this.before.output, output),
      cacheReadTokens: cacheRead ?? null,
      cacheWrite5mTokens: cacheWrite === undefined ? null : cacheWrite - (forHour ?? 0),
      cacheWrite1hTokens: forHour ?? null,
      thinkingTokens: thinking ?? null,
      serverTools: serverTools ?? null,
      estimated: this.before.estimated,
      firstTextMs: this.firstTextMs,
    };
    return this.latest;
  }

  /**
   * The figures at the end of the call. If the model did not report the final output, it is estimated, at no less than the reported part.
   * If the model did not report the input, it is estimated by the size of the request, unless the request was refused.
   */
  figures(): CallFigures {
    if (this.state === 'unsent' || this.state === 'refused') return this.figuresSoFar;
    const { input, output, estimated } = this.now();
    return {
      ...this.figuresSoFar,
      inputTokens: this.before.input + input,
      outputTokens: this.answered || this.before.output > 0 ? this.before.output + output : null,
      estimated: this.before.estimated || estimated,
    };
  }

  /** The tokens of the current request: reported where possible, else estimated. */
  private now(): { input: number; output: number; estimated: boolean } {
    if (this.state === 'unsent' || this.state === 'refused') return { input: 0, output: 0, estimated: false };
    const { input = estimateInput(this.sentBytes()), output = 0 } = this.reported;
    if (this.state === 'counted') return { input, output, estimated: this.reported.input === undefined };
    if (this.state === 'waiting') return { input, output, estimated: true };
    this.hides(this.hiddenSince !== undefined);
    const seen = estimateOutput(this.seenBytes, this.hiddenMs, this.most);
    return { input, output: Math.max(output, seen), estimated: true };
  }

  private report(tokens: Reported): void {
    this.latest = undefined;
    this.reported = combined(this.reported, tokens, Math.max);
  }
}

const sum = (one: Reported, other: Reported): Reported => combined(one, other, (a, b) => a + b);

/** Combines each figure of both; a figure that only one of them has stays as it is. */
function combined(one: Reported, other: Reported, of: (a: number, b: number) => number): Reported {
  if (one === NOTHING) return other;
  const both = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? (a ?? b) : of(a, b);
  const { serverTools: tools = {} } = one;
  const more = Object.entries(other.serverTools ?? {}).map(
    ([kind, count]) => [kind, both(tools[kind], count) ?? 0] as const,
  );
  return {
    ...(Object.fromEntries(COUNTS.map((count) => [count, both(one[count], other[count])])) as Record<Count, number>),
    serverTools:
      one.serverTools === undefined
        ? other.serverTools
        : { ...tools, ...(Object.fromEntries(more) as Record<string, number>) },
  };
}

/** The sum of both; null: neither is known. */
function plus(before: number, now: number | undefined): number | null {
  return now === undefined ? before || null : before + now;
}
