import type { CallFigures } from '#jobs/ledger.js';

/** One call of the model while it runs: what the model has told so far, for the ledger. */
export class Call {
  private figures: CallFigures = { messageId: null, inputTokens: null, outputTokens: null, firstTextMs: null };
  private begun = performance.now();

  /** `onLife` is called when the model writes something, be it text or not. */
  constructor(private readonly onLife: () => void) {}

  /** The request leaves now. */
  begin(): void {
    this.begun = performance.now();
  }

  tell(news: Partial<CallFigures>): void {
    this.figures = { ...this.figures, ...news };
  }

  /** The model has written something. */
  alive(): void {
    this.onLife();
  }

  /** A piece of text came; the first counts. */
  text(): void {
    if (this.figures.firstTextMs === null) this.tell({ firstTextMs: Math.round(performance.now() - this.begun) });
  }

  /** The same object until something new is told. */
  get told(): CallFigures {
    return this.figures;
  }
}
