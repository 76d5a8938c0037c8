import { estimateInput, estimateOutput } from '#jobs/estimates.js';
import type { CallFigures } from '#jobs/ledger.js';

/** Tokens as the model reports them; undefined: it did not, or no number of tokens. */
export interface Reported {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

const NOTHING: Reported = { input: undefined, output: undefined };

/**
 * What an attempt's call of the model has come to so far, for the ledger. An answer that is paused is continued by another request, and
 * a prompt that is too long is sent again, shorter: the figures are those of all requests together.
 */
export class Call {
  private messageId: string | null = null;
  private firstTextMs: number | null = null;
  private begun: number | undefined;
  /** The requests that are over, and the present one. */
  private before = { input: 0, output: 0, estimated: false };
  private reported = NOTHING;
  private state: 'unsent' | 'waiting' | 'refused' | 'answering' | 'counted' = 'unsent';
  private sentBytes = (): number => 0;
  private seenBytes = 0;
  private hiddenMs = 0;
  private hiddenSince: number | undefined;
  private latest: CallFigures | undefined;

  /**
   * @param most tokens that the call may put out
   * @param onAnswer told when the model begins to answer, each time
   */
  constructor(
    private readonly most: number,
    private readonly onAnswer: () => void,
  ) {}

  /** A request leaves now; `bytes` gives its size, should that be asked for. */
  begin(bytes: () => number): void {
    this.begun ??= performance.now();
    const { input, output, estimated } = this.now();
    this.before = {
      input: this.before.input + input,
      output: this.before.output + output,
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

  /** The request came to nothing that costs: no connection, or something else than an answer. */
  refused(): void {
    if (this.state === 'waiting') this.state = 'refused';
  }

  /** Whether the model has begun to answer the present request. */
  get answered(): boolean {
    return this.state === 'answering' || this.state === 'counted';
  }

  /** The model has begun to answer. */
  answers(messageId: string, tokens: Reported): void {
    this.state = 'answering';
    this.messageId = messageId;
    this.report(tokens);
    this.onAnswer();
  }

  /** The answer is whole, with the tokens that it reports at its end. Reported counts only grow. */
  ends(tokens: Reported): void {
    if (tokens.output !== undefined) this.state = 'counted';
    this.report(tokens);
  }

  /** Text came; the first counts. */
  text(text: string): void {
    this.seenBytes += Buffer.byteLength(text);
    if (this.firstTextMs !== null || this.begun === undefined) return;
    this.firstTextMs = Math.round(performance.now() - this.begun);
    this.latest = undefined;
  }

  /** Output came that is paid for and shown to nobody. */
  unseen(text: string): void {
    this.seenBytes += Buffer.byteLength(text);
  }

  /** The model thinks without showing it from now on, or (false) no longer. */
  hides(thinking: boolean): void {
    const now = performance.now();
    if (this.hiddenSince !== undefined) this.hiddenMs += now - this.hiddenSince;
    this.hiddenSince = thinking ? now : undefined;
  }

  /** The figures of this call so far. The object is replaced, never changed, when the model reports more. */
  get told(): CallFigures {
    const { input, output } = this.reported;
    this.latest ??= {
      messageId: this.messageId,
      inputTokens: plus(this.before.input, input),
      outputTokens: plus(this.before.output, output),
      estimated: this.before.estimated,
      firstTextMs: this.firstTextMs,
    };
    return this.latest;
  }

  /**
   * What the call comes to when nothing more is expected of it. Output that the model did not count to the end is estimated, at no less
   * than it had reported; input that it never reported is estimated by what was sent, unless the request was refused.
   */
  figures(): CallFigures {
    if (this.state === 'unsent' || this.state === 'refused') return this.told;
    const { input, output, estimated } = this.now();
    return {
      ...this.told,
      inputTokens: this.before.input + input,
      outputTokens: this.answered || this.before.output > 0 ? this.before.output + output : null,
      estimated: this.before.estimated || estimated,
    };
  }

  /** The tokens of the present request, by the best that is known. */
  private now(): { input: number; output: number; estimated: boolean } {
    if (this.state === 'unsent' || this.state === 'refused') return { input: 0, output: 0, estimated: false };
    const { input = estimateInput(this.sentBytes()), output = 0 } = this.reported;
    if (this.state === 'counted') return { input, output, estimated: this.reported.input === undefined };
    if (this.state === 'waiting') return { input, output, estimated: true };
    this.hides(this.hiddenSince !== undefined);
    const seen = estimateOutput(this.seenBytes, this.hiddenMs, this.most);
    return { input, output: Math.max(output, seen), estimated: true };
  }

  private report({ input, output }: Reported): void {
    this.latest = undefined;
    this.reported = { input: most(this.reported.input, input), output: most(this.reported.output, output) };
  }
}

function most(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : Math.max(one, other ?? 0);
}

/** A sum that is unknown while nothing of it is known. */
function plus(before: number, now: number | undefined): number | null {
  return now === undefined ? before || null : before + now;
}
