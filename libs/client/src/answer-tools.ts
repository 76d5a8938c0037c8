import { ApiError } from './errors.js';
import type { JobEvent } from './job-events.js';
import type { Rejoinder } from './rejoinder.js';
import { isFinal, isWaiting, type Job, type ToolCall } from './types.js';
import { linked, orAborted } from './waiting.js';

/**
 * A tool of the front-end: gets the model's input, and gives a text or anything that JSON can hold, or a promise of it. If it throws, the
 * model gets the error's message. The input comes from the model: check it. The service has checked it only against the tool's schema.
 * @param signal aborts when the call needs no answer any more: it was answered elsewhere, the turn has ended, or the loop was left
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each tool has an input of its own
export type ToolFunction = (input: any, call: ToolCall, signal: AbortSignal) => unknown;

/** The functions by the names of their tools. */
export type ToolFunctions = Readonly<Record<string, ToolFunction>>;

/** What a person decides; undefined: nothing, so the call goes on waiting. `false` denies without a reason. */
export type Approval = boolean | { readonly deny: string } | undefined;

export interface AnswerOptions {
  /**
   * Decides a call that wants an approval. Without it, such calls wait for somebody else. An error that it throws ends the loop, and the
   * call goes on waiting.
   */
  readonly approve?: (call: ToolCall, signal: AbortSignal) => Approval | Promise<Approval>;
}

/** Most characters of an error that the model gets. */
const LONGEST_ERROR = 1_000;

/**
 * Answers the tool calls of turns by functions of the front-end. Put the result around whatever follows a turn: a stream (`streamTurn`,
 * `followJob`) or a poll (`pollJob`). It yields the same events, and meanwhile answers each call that waits, once. A call of a tool without
 * a function is left alone. After a reload, follow the chat's `unfinished_job_id`: what still waits is answered then. If another tab or
 * another person is quicker, that answer counts.
 *
 * The loop throws what the source throws, and an `ApiError` or `ConnectionError` if an answer cannot be given.
 */
export function answerTools(
  client: Pick<Rejoinder, 'decide' | 'giveResult'>,
  functions: ToolFunctions,
  options: AnswerOptions = {},
): <T extends JobEvent | Job>(source: AsyncIterable<T>) => AsyncGenerator<T, void, undefined> {
  return async function* answered(source) {
    const answers = new Answers(client, functions, options);
    const events = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await answers.orFailed(events.next());
        if (next.done === true) return;
        answers.take(next.value);
        yield next.value;
      }
    } finally {
      answers.leave();
      // Not awaited: after a failed answer a read is under way, which would hold this up until the next event comes.
      void events.return?.().catch(() => undefined);
    }
  };
}

/** The answers to the calls of one job. */
class Answers {
  private jobId: string | undefined;
  /** The calls that are being answered, or were, by their id and the state that asked for it. */
  private readonly begun = new Map<string, AbortController>();
  private readonly left = new AbortController();
  private failure: { readonly error: unknown } | undefined;
  private onFailure: (error: unknown) => void = () => undefined;

  constructor(
    private readonly client: Pick<Rejoinder, 'decide' | 'giveResult'>,
    private readonly functions: ToolFunctions,
    private readonly options: AnswerOptions,
  ) {}

  /** The next event. @throws what the source throws, or why an answer cannot be given, as soon as that is known */
  orFailed<T>(next: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      next.then(resolve, reject);
      if (this.failure === undefined) this.onFailure = reject;
      else reject(this.failure.error);
    });
  }

  take(event: JobEvent | Job): void {
    if (event.type === 'tool_call') this.takeCall(event.toolCall);
    else if (event.type === 'job') this.takeJob(event.job);
    else if ('status' in event) this.takeJob(event);
  }

  leave(): void {
    this.left.abort(new Error('The call needs no answer any more.'));
  }

  private takeJob(job: Job): void {
    this.jobId = job.id;
    const waiting = isWaiting(job) ? job.required_action.tool_calls : [];
    const keys = new Set(waiting.map(keyOf));
    // What is not among the waiting calls was answered elsewhere. (A job that runs may lack a call that a later event brings.)
    if (isWaiting(job) || isFinal(job)) for (const key of this.begun.keys()) if (!keys.has(key)) this.stop(key);
    for (const call of waiting) this.begin(call);
  }

  private takeCall(call: ToolCall): void {
    for (const key of this.begun.keys()) if (key.startsWith(`${call.id} `) && key !== keyOf(call)) this.stop(key);
    this.begin(call);
  }

  private stop(key: string): void {
    this.begun.get(key)?.abort(new Error('The call was answered elsewhere.'));
  }

  private begin(call: ToolCall): void {
    const { jobId } = this;
    // Until a stream has told the job's id, the calls wait for the `job` that follows them.
    if (jobId === undefined || this.begun.has(keyOf(call))) return;
    const answer = this.answerTo(jobId, call);
    if (answer === undefined) return;
    const { controller, letGo } = linked(this.left.signal);
    this.begun.set(keyOf(call), controller);
    void orAborted(controller.signal, () => answer(controller.signal))
      .catch((error: unknown) => {
        if (controller.signal.aborted || isDecided(error)) return;
        this.failure = { error };
        this.onFailure(error);
      })
      .finally(letGo);
  }

  private answerTo(jobId: string, call: ToolCall): ((signal: AbortSignal) => Promise<void>) | undefined {
    const { approve } = this.options;
    if (call.status === 'awaiting_approval' && approve !== undefined) {
      return async (signal) => {
        const approval = await approve(call, signal);
        signal.throwIfAborted();
        if (approval === true) await this.client.decide(jobId, call.id, 'approve', { signal });
        else if (approval !== undefined) {
          const reason = approval === false ? undefined : approval.deny;
          await this.client.decide(jobId, call.id, 'deny', { reason, signal });
        }
      };
    }
    // The name is the model's, so it may be that of something which every object has.
    if (call.status !== 'awaiting_result' || !Object.hasOwn(this.functions, call.name)) return undefined;
    return (signal) => this.giveResult(jobId, call, signal);
  }

  private async giveResult(jobId: string, call: ToolCall, signal: AbortSignal): Promise<void> {
    let content: unknown;
    try {
      content = await this.functions[call.name]?.(call.input, call, signal);
      // Throws for what JSON cannot hold.
      JSON.stringify(content);
    } catch (error) {
      signal.throwIfAborted();
      return this.giveError(jobId, call, error instanceof Error ? error.message : String(error), signal);
    }
    signal.throwIfAborted();
    try {
      await this.client.giveResult(jobId, call.id, content, { signal });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 'validation_failed')) throw error;
      // The model may do without it. Otherwise the turn would wait until its time is up.
      const faults = error.details.map(({ field, message }) => `${field} ${message}`).join('; ');
      await this.giveError(jobId, call, `The front-end gave a result that was refused: ${faults}`, signal);
    }
  }

  private async giveError(jobId: string, call: ToolCall, why: string, signal: AbortSignal): Promise<void> {
    await this.client.giveResult(jobId, call.id, why.slice(0, LONGEST_ERROR), { isError: true, signal });
  }
}

/** An approved call may ask for a result next, so its state is part of its key. */
const keyOf = ({ id, status }: ToolCall): string => `${id} ${status}`;

/** Somebody else was quicker, or the turn has ended. */
const isDecided = (error: unknown): boolean => error instanceof ApiError && error.code === 'tool_call_decided';
