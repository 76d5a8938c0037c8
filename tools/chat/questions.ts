import { ApiError, isWaiting, type JobEvents, type Rejoinder, type ToolCall } from '@rejoinder/client';
import { NobodyAnswers } from './nobody-answers.js';
import type { Terminal } from './terminal.js';
import { inLine, inputOf } from './tool-words.js';

/** In characters. */
const LONGEST_REASON = 1_000;

/** A call that waits. */
interface Question {
  readonly call: ToolCall;
  /** Aborts when the question needs no answer any more. */
  readonly gone: AbortController;
  /** The person has answered, and the answer is on its way. */
  sent: boolean;
}

/** The calls of a turn that wait for the person at the terminal. They are asked for one after the other. */
export class Questions {
  /** Calls that were asked for, by their id and the state that asked. */
  private readonly seen = new Set<string>();
  private readonly open = new Map<string, Question>();
  private readonly left = new AbortController();
  private asking: Promise<void> | undefined;

  /** @param onError gets an error that ends the questions */
  constructor(
    private readonly client: Rejoinder,
    private readonly terminal: Terminal,
    private readonly events: JobEvents,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Takes a call in its latest state. If somebody else has answered the one that is being asked for, its question goes away. */
  take(call: ToolCall): void {
    const before = this.open.get(call.id);
    if (before?.call.status === call.status) return;
    this.open.delete(call.id);
    if (before?.sent === false) before.gone.abort();
    if (call.status !== 'awaiting_approval' && call.status !== 'awaiting_result') return;
    const key = `${call.id} ${call.status}`;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    this.open.set(call.id, { call, gone: new AbortController(), sent: false });
    this.asking ??= this.askAll().catch(this.onError);
  }

  /** The turn has ended, or goes on without this terminal. */
  async leave(): Promise<void> {
    this.left.abort();
    for (const { gone } of this.open.values()) gone.abort();
    await this.asking;
  }

  private async askAll(): Promise<void> {
    try {
      for (let next = this.next(); next !== undefined; next = this.next()) {
        if (next.call.status === 'awaiting_approval') await this.askForApproval(next);
        else await this.askForResult(next);
        if (this.left.signal.aborted) return;
        if (next.gone.signal.aborted) this.terminal.note('It was answered elsewhere.');
        else if (!next.sent) await this.giveUp();
        if (this.open.get(next.call.id) === next) this.open.delete(next.call.id);
      }
    } finally {
      // At once: the next call begins anew.
      this.asking = undefined;
    }
  }

  private next(): Question | undefined {
    return this.left.signal.aborted ? undefined : this.open.values().next().value;
  }

  /** The person has closed the input. @throws NobodyAnswers */
  private async giveUp(): Promise<void> {
    const job = await this.client.waitForJob(this.jobId, { signal: this.left.signal });
    if (isWaiting(job)) throw new NobodyAnswers(job);
  }

  private get jobId(): string {
    return this.events.jobId ?? '';
  }

  private async askForApproval(question: Question): Promise<void> {
    const {
      call,
      gone: { signal },
    } = question;
    this.terminal.note(`May the assistant use ${inLine(call.name)}?\n${inputOf(call)}`);
    for (;;) {
      const answer = await this.terminal.ask('approve? (y/n) ', signal);
      if (answer === undefined) return;
      if (/^(y|yes)$/i.test(answer))
        return this.send(question, () => this.client.decide(this.jobId, call.id, 'approve'));
      if (!/^(n|no)$/i.test(answer)) continue;
      const reason = await this.terminal.ask('why not? (empty: no reason) ', signal);
      if (reason === undefined) return;
      const why = reason.slice(0, LONGEST_REASON);
      return this.send(question, () => this.client.decide(this.jobId, call.id, 'deny', { reason: why }));
    }
  }

  private async askForResult(question: Question): Promise<void> {
    const {
      call,
      gone: { signal },
    } = question;
    this.terminal.note(`The assistant asks you for the result of ${inLine(call.name)}:\n${inputOf(call)}`);
    if (call.result_schema !== undefined) this.terminal.note(`  as ${inLine(JSON.stringify(call.result_schema))}`);
    for (;;) {
      const answer = await this.terminal.ask('result (JSON or text): ', signal);
      if (answer === undefined) return;
      if (answer === '') continue;
      try {
        return await this.send(question, () => this.client.giveResult(this.jobId, call.id, valueOf(answer)));
      } catch (error) {
        if (!(error instanceof ApiError && error.code === 'validation_failed')) throw error;
        question.sent = false;
        const faults = error.details.map(({ field, message }) => `${field} ${message}`).join('; ');
        this.terminal.complain(inLine(faults || error.message));
      }
    }
  }

  private async send(question: Question, answer: () => Promise<unknown>): Promise<void> {
    question.sent = true;
    await answer().catch((error: unknown) => {
      if (!(error instanceof ApiError && error.code === 'tool_call_decided')) throw error;
      this.terminal.note(`It was answered elsewhere. ${error.message}`);
    });
  }
}

/** What a person types is JSON, or else a text. */
function valueOf(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return answer;
  }
}
