import type Anthropic from '@anthropic-ai/sdk';
import { Injectable } from '@nestjs/common';
import type { CacheTtl, Effort, Thinking } from '#database/entities/assistant.entity.js';
import type { Tool } from '#database/entities/tool.js';
import type { HistoryRow } from '#jobs/history.js';
import type { FinishedStep } from '#jobs/steps.js';
import { MOST_ENDLESS_ANSWERS } from '#jobs/timings.js';
import type { Settings } from '#settings/settings.js';
import { Answer, type Shown } from './answer.js';
import { markOf, withMarks } from './cache-marks.js';
import type { Call } from './call.js';
import { CallTimer } from './call-timer.js';
import { classify } from './classify.js';
import { ContextLimits } from './context-limits.js';
import { createStream, type ModelClient } from './messages-api.js';
import { broken, ModelFault, unavailable } from './model-fault.js';
import { sendsCalls, toModelMessages, toModelTools } from './prompt.js';
import type { NamedLength } from './window.js';

/** How long the body may take to end after the last event, in milliseconds. */
const END_MS = 1_000;

const PROVIDERS = { anthropic: 'anthropic', bedrock: 'aws.bedrock', vertex: 'gcp.vertex_ai' } as const;

/** More bytes than that no prompt has for each token. */
const MOST_BYTES_A_TOKEN = 20;

export interface ModelRequest {
  readonly model: string;
  readonly maxOutputTokens: number;
  /** Null or left out: the request has no such field, and the model uses its default. */
  readonly thinking?: Thinking | null;
  readonly effort?: Effort | null;
  /** JSON Schema of the answer. Null or left out: it is text. */
  readonly outputSchema?: Readonly<Record<string, unknown>> | null;
  readonly stopSequences?: readonly string[] | null;
  /** Null: the prompt is not worth keeping in the cache, since no other begins like it. */
  readonly cacheTtl: CacheTtl | null;
  /** The user, as the provider may know it: it shows nothing of the user's id. */
  readonly user: string;
  /** The model is asked for visible thoughts, and they are a part of the answer. */
  readonly showReasoning?: boolean;
  readonly systemPrompt: string;
  readonly tools: readonly Tool[];
  /** The model may ask for tools. False: this is the turn's last step. */
  readonly mayCallTools: boolean;
  /** Newest first. The message to answer is among the first. */
  readonly history: readonly HistoryRow[];
  /** The summary of what is before the history. Null or left out: there is none. */
  readonly summary?: string | null;
  /** The finished steps of the turn, oldest first. The answer goes on after them. */
  readonly steps: readonly FinishedStep[];
  /** How long the answer may take in all, in milliseconds; left out: as the settings say. */
  readonly totalMs?: number;
}

/** A complete answer. */
export interface Answered {
  readonly answer: Answer;
}

/**
 * Makes a prompt that was too long shorter.
 * @param length its length, if the model named it
 * @returns undefined: there is nothing to leave out
 */
export type Narrow = (length?: NamedLength) => Promise<Pick<ModelRequest, 'history' | 'summary'> | undefined>;

/** The model, through the client of its provider. */
@Injectable()
export class Model {
  /** The longest prompts that models have said they take. */
  readonly limits = new ContextLimits();

  constructor(
    private readonly settings: Settings['model'],
    private readonly client: ModelClient,
  ) {}

  /** The provider, as OpenTelemetry's conventions name it. */
  get provider(): string {
    return PROVIDERS[this.settings.provider?.name ?? 'anthropic'];
  }

  /**
   * Asks for one answer: a step of the turn. `shown` gets what users see, as it arrives; `call` gets the figures that the model reports.
   *
   * A prompt that is too long is sent again as `narrow` makes it, as long as there is something to leave out. That does not count as an
   * attempt. A turn with finished steps gets the same history as these steps.
   *
   * @throws ModelFault
   */
  async answer(
    request: ModelRequest,
    call: Call,
    signal: AbortSignal,
    shown: Shown,
    narrow: Narrow = () => Promise.resolve(undefined),
  ): Promise<Answered> {
    const deadline = performance.now() + Math.min(request.totalMs ?? Infinity, this.settings.totalMs);
    const { steps: before, showReasoning: showsReasoning = false, cacheTtl } = request;
    const answer = new Answer(call, shown, { before, showsReasoning, ...(cacheTtl !== null && { cacheTtl }) });
    let asked = request;
    const less = async (length?: NamedLength): Promise<boolean> => {
      const rest = answer.isBlank && request.steps.length === 0 ? await narrow(length) : undefined;
      if (rest !== undefined) asked = { ...asked, ...rest };
      return rest !== undefined;
    };
    for (let outOfContext = 0; ; answer.again()) {
      const fault = await this.tooLong(asked, answer, call, signal, deadline);
      if (fault !== undefined) {
        const length = plausible(fault.length, sizeOf(asked));
        if (length !== undefined) this.limits.learn(request.model, length.most);
        if (await less(length)) continue;
        throw request.steps.length > 0 ? outOfRoom(request, fault) : fault;
      }
      if (answer.stopReason !== 'model_context_window_exceeded' || !answer.isBlank) return { answer };
      // Each answer is paid for. A second one, with less history, may have enough room. A third one would rarely help and cost the same.
      if (outOfContext++ > 0 || !(await less())) throw outOfRoom(request);
    }
  }

  /** Sends one request. @returns the fault if the prompt is too long @throws ModelFault for any other fault */
  private async tooLong(
    request: ModelRequest,
    answer: Answer,
    call: Call,
    signal: AbortSignal,
    deadline: number,
  ): Promise<ModelFault | undefined> {
    const timer = new CallTimer(this.settings.idleMs, deadline - performance.now(), signal);
    try {
      await this.ask(request, answer, call, timer);
    } catch (error) {
      if (!(error instanceof ModelFault) || !error.tooLong) throw error;
      return error;
    } finally {
      timer.stop();
    }
    this.limits.accepted(request.model, call.inputTokens);
    return undefined;
  }

  /** Sends one request and reads its answer. @throws ModelFault unless the message is complete */
  private async ask(request: ModelRequest, answer: Answer, call: Call, timer: CallTimer): Promise<void> {
    const { tools, history, summary } = request;
    const before = toModelMessages(history, sendsCalls(tools), summary);
    const mark = request.cacheTtl === null ? undefined : markOf(request.cacheTtl);
    const messages = mark === undefined ? before : withMarks(before, request.steps, mark);
    const body = {
      model: request.model,
      max_tokens: request.maxOutputTokens,
      ...thinkingOf(request),
      ...((request.effort || request.outputSchema) && { output_config: outputConfig(request) }),
      ...(request.stopSequences && { stop_sequences: [...request.stopSequences] }),
      metadata: { user_id: request.user },
      system: [
        { type: 'text' as const, text: request.systemPrompt, ...(mark !== undefined && { cache_control: mark }) },
      ],
      ...(tools.length > 0 && { tools: toModelTools(tools) }),
      ...(tools.length > 0 && !request.mayCallTools && { tool_choice: { type: 'none' as const } }),
      messages,
      stream: true as const,
    };
    try {
      call.begin(() => sizeOf(request));
      const onBytes = (): void => timer.touch();
      const { stream } = await createStream(this.client, body, { signal: timer.signal, onBytes });
      timer.touch();
      await read(stream, answer, timer);
    } catch (error) {
      throw this.fault(error, call, timer);
    }
  }

  private fault(error: unknown, call: Call, timer: CallTimer): ModelFault {
    const options = { cause: error };
    const { answered } = call;
    // The model may have begun to work on a stopped call, so the call is counted. A call that the model refused costs nothing.
    if (!answered && (timer.givenUp !== undefined || !timer.signal.aborted)) call.refused();
    switch (timer.givenUp) {
      case 'silent':
        return answered
          ? broken('The model fell silent.', undefined, options)
          : unavailable('The model fell silent.', {}, options);
      case 'endless':
        return answered
          ? broken('The model’s answer took too long.', MOST_ENDLESS_ANSWERS, options)
          : unavailable('The model fell silent.', {}, options);
      case undefined:
        return classify(error, answered);
    }
  }
}

/** How the model is asked to think. Visible thoughts need a type that shows them (`adaptive`), and models omit them unless they are asked. */
function thinkingOf({ thinking, showReasoning }: ModelRequest): { thinking?: Anthropic.ThinkingConfigParam } {
  if (showReasoning === true) return { thinking: { type: 'adaptive', display: 'summarized' } };
  return thinking ? { thinking: { type: thinking } } : {};
}

async function read(
  stream: AsyncIterable<Anthropic.RawMessageStreamEvent>,
  answer: Answer,
  timer: CallTimer,
): Promise<void> {
  // The SDK gives an HTML page with status 200 as a string.
  if (typeof stream !== 'object') throw new Error('not an event stream');
  let stopped = false;
  try {
    for await (const event of stream) {
      if (stopped || !answer.take(event)) continue;
      stopped = true;
      // Only the end of the body remains. Reading it keeps the connection for the next call, but is not worth a long wait.
      timer.endIn(END_MS);
    }
  } catch (error) {
    // The message is complete, so a fault of the connection does not matter.
    if (!stopped) throw error;
    timer.givenUp = undefined;
  }
  // After a cut stream, the SDK's iteration also ends without an error.
  if (!answer.isWhole) throw new Error('the stream ended before the message did');
}

function outputConfig({ effort, outputSchema }: ModelRequest): Anthropic.OutputConfig {
  return {
    ...(effort && { effort }),
    ...(outputSchema && { format: { type: 'json_schema' as const, schema: outputSchema } }),
  };
}

/**
 * The length that a refusal names, if a prompt of so many bytes may have so many tokens. A server that repeats parts of the request in its
 * errors might name any.
 */
function plausible(length: NamedLength | undefined, bytes: number): NamedLength | undefined {
  return length !== undefined && length.tokens * MOST_BYTES_A_TOKEN >= bytes ? length : undefined;
}

/** The fault for a model without room for output. If the first step had room, the turn is not to blame, so later prompts include it. */
function outOfRoom({ steps }: ModelRequest, cause?: unknown): ModelFault {
  return steps.length === 0
    ? new ModelFault(
        'context_exceeded',
        'The message leaves the model no room to answer.',
        { leavesOut: true },
        { cause },
      )
    : new ModelFault('context_exceeded', 'The turn leaves the model no room to go on.', {}, { cause });
}

/** The size of what stands before the history, in bytes, approximately. */
export function bytesBefore({
  systemPrompt,
  tools,
  summary,
}: Pick<ModelRequest, 'systemPrompt' | 'tools' | 'summary'>): number {
  const offered = tools.length > 0 ? JSON.stringify(toModelTools(tools)) : '';
  return [systemPrompt, offered, summary ?? ''].reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}

/** The approximate size of a request, in bytes. */
function sizeOf({ systemPrompt, tools, summary, history, steps }: ModelRequest): number {
  const begun = bytesBefore({ systemPrompt, tools, summary });
  const said = history.reduce(
    (sum, { content, parts }) => sum + Buffer.byteLength(parts === undefined ? content : JSON.stringify(parts)),
    begun,
  );
  return steps.reduce(
    (sum, { content, calls }) =>
      sum +
      Buffer.byteLength(JSON.stringify(content)) +
      (calls ?? []).reduce((all, { result }) => all + Buffer.byteLength(result ?? ''), 0),
    said,
  );
}
