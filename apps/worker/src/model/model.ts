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
import { createStream, type ModelClient } from './messages-api.js';
import { broken, ModelFault, unavailable } from './model-fault.js';
import { shorter, toModelMessages, toModelTools } from './prompt.js';

/** How long the body may take to end after the last event, in milliseconds. */
const END_MS = 1_000;

const PROVIDERS = { anthropic: 'anthropic', bedrock: 'aws.bedrock', vertex: 'gcp.vertex_ai' } as const;

export interface ModelRequest {
  readonly model: string;
  readonly maxOutputTokens: number;
  /** Null or left out: the request has no such field, and the model uses its default. */
  readonly thinking?: Thinking | null;
  readonly effort?: Effort | null;
  /** JSON Schema of the answer. Null or left out: it is text. */
  readonly outputSchema?: Readonly<Record<string, unknown>> | null;
  readonly stopSequences?: readonly string[] | null;
  readonly cacheTtl: CacheTtl;
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
  /** The finished steps of the turn, oldest first. The answer goes on after them. */
  readonly steps: readonly FinishedStep[];
}

/** A complete answer, and the history that the request had. */
export interface Answered {
  readonly answer: Answer;
  /** `seq` of the first message that was sent. */
  readonly windowFromSeq: number;
}

/** The model, through the client of its provider. */
@Injectable()
export class Model {
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
   * A prompt that is too long is sent again with less history, as long as there is less to send. That does not count as an attempt. A turn
   * with finished steps gets the same history as these steps.
   *
   * @throws ModelFault
   */
  async answer(request: ModelRequest, call: Call, signal: AbortSignal, shown: Shown): Promise<Answered> {
    const deadline = performance.now() + this.settings.totalMs;
    const { steps: before, showReasoning: showsReasoning = false, cacheTtl } = request;
    const answer = new Answer(call, shown, { before, showsReasoning, cacheTtl });
    let { history } = request;
    const less = (): readonly HistoryRow[] | undefined =>
      answer.isBlank && request.steps.length === 0 ? shorter(history) : undefined;
    for (let outOfContext = 0; ; answer.again()) {
      const timer = new CallTimer(this.settings.idleMs, deadline - performance.now(), signal);
      try {
        await this.ask(request, history, answer, call, timer);
      } catch (error) {
        const isTooLong = error instanceof ModelFault && error.tooLong;
        const rest = isTooLong ? less() : undefined;
        if (rest === undefined) throw isTooLong && request.steps.length > 0 ? outOfRoom(request, error) : error;
        history = rest;
        continue;
      } finally {
        timer.stop();
      }
      if (answer.stopReason !== 'model_context_window_exceeded' || !answer.isBlank) {
        return { answer, windowFromSeq: history.at(-1)?.seq ?? 1 };
      }
      // Each answer is paid for. A second one, with less history, may have enough room. A third one would rarely help and cost the same.
      const rest = outOfContext++ === 0 ? less() : undefined;
      if (rest === undefined) throw outOfRoom(request);
      history = rest;
    }
  }

  /** Sends one request and reads its answer. @throws ModelFault unless the message is complete */
  private async ask(
    request: ModelRequest,
    history: readonly HistoryRow[],
    answer: Answer,
    call: Call,
    timer: CallTimer,
  ): Promise<void> {
    const { tools } = request;
    const withCalls = tools.some(({ run }) => run !== 'provider');
    const mark = markOf(request.cacheTtl);
    const messages = withMarks(toModelMessages(history, withCalls), request.steps, mark);
    const body = {
      model: request.model,
      max_tokens: request.maxOutputTokens,
      ...thinkingOf(request),
      ...((request.effort || request.outputSchema) && { output_config: outputConfig(request) }),
      ...(request.stopSequences && { stop_sequences: [...request.stopSequences] }),
      metadata: { user_id: request.user },
      system: [{ type: 'text' as const, text: request.systemPrompt, cache_control: mark }],
      ...(tools.length > 0 && { tools: toModelTools(tools) }),
      ...(tools.length > 0 && !request.mayCallTools && { tool_choice: { type: 'none' as const } }),
      messages,
      stream: true as const,
    };
    try {
      call.begin(() => sizeOf(request, history));
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

/** The approximate size of a request, in bytes. */
function sizeOf({ systemPrompt, tools, steps }: ModelRequest, history: readonly HistoryRow[]): number {
  const begun = Buffer.byteLength(systemPrompt) + (tools.length > 0 ? Buffer.byteLength(JSON.stringify(tools)) : 0);
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
