import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkKey } from './account.js';
import { answerTo } from './answer.js';
import { billFor, NOTHING } from './bill.js';
import { tokensBesideText, whole } from './blocks.js';
import { ASKED_LENGTH, type Call, type Outcome } from './calls.js';
import { type Checked, checkRequest, TooLong } from './checks/request.js';
import { newId, pause, readJson, Refusal, sendError, sendJson, untilClosed } from './http.js';
import { type MessagesRequest, readMessagesRequest } from './messages-request.js';
import { rateLimitHeaders } from './rate-limits.js';
import type { State } from './state.js';
import type { Plan } from './plan.js';
import { streamMessage } from './stream.js';
import { outputTokensOf } from './tokens.js';
import { usageOfWhole } from './usage.js';

/** Answers `POST /v1/messages`: refuses what the API would refuse, and gives the script's answer. */
export async function answerMessages(
  state: State,
  pieceDelayMs: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const requestId = newId('req');
  let asked = readMessagesRequest(undefined);
  let checked: Checked;
  try {
    // The calls list refused requests as well, so the body is read first.
    const body = await readJson(request);
    asked = readMessagesRequest(body);
    checkKey(request.headers);
    state.account.check();
    checked = checkRequest(body, asked, state.models, state.pauses);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const call = addCall(state, asked, requestId, error instanceof TooLong ? 'too_long' : 'rejected');
    call.ended_at = new Date().toISOString();
    return sendError(response, error, requestId, rateLimitHeaders());
  }
  const { model, turns, prompt } = checked;
  const script = state.scripts.take(asked.lastUserText) ?? {};
  const call = addCall(state, asked, requestId, 'running');
  const use = state.cache.use(prompt, model.cacheFrom);
  const planned = answerTo(asked, checked, script, pieceDelayMs);
  const plan = { id: call.id, model: model.id, requestId, request: asked, script, input: use.usage, ...planned };
  // From here on the input is paid for, even if the client leaves.
  call.billed = billFor(use.usage, 0);
  if (await begun(response, plan, call)) {
    use.keep();
    call.outcome = await answer(response, plan, call);
    call.billed = billFor(use.usage, call.output_tokens, call.outcome === 'completed' ? plan.blocks : []);
    if (call.outcome === 'completed' && plan.stopReason === 'pause_turn') {
      state.pauses.add(
        turns,
        plan.blocks.map((block) => whole(block)),
      );
    }
  }
  call.ended_at = new Date().toISOString();
}

function addCall(state: State, asked: MessagesRequest, requestId: string, outcome: Outcome): Call {
  const { lastUserText, ...seen } = asked;
  return state.calls.add({
    ...seen,
    id: newId('msg'),
    request_id: requestId,
    asked: lastUserText.slice(-ASKED_LENGTH),
    continues: seen.messages.at(-1)?.role === 'assistant',
    received_at: new Date().toISOString(),
    outcome,
    output_tokens: 0,
    billed: NOTHING,
    ended_at: null,
  });
}

/** Plays the script's part before the answer: a delay, an error or another body. @returns whether the answer follows */
async function begun(response: ServerResponse, plan: Plan, call: Call): Promise<boolean> {
  const { script } = plan;
  const left = script.delay_ms !== undefined && !(await pause(response, script.delay_ms));
  if (left || script.hang_before_headers) {
    if (!left) await untilClosed(response);
    call.outcome = 'client_closed';
    return false;
  }
  if (script.body === undefined && script.status === undefined) return true;
  const headers = headersOf(plan);
  if (script.body !== undefined) {
    const type = script.content_type ?? 'application/json';
    response.writeHead(script.status ?? 200, { 'content-type': type, ...headers });
    response.end(script.body);
  } else {
    const { status = 500, error_type: type = 'api_error', message = 'scripted', error_code: errorCode } = script;
    sendError(response, { status, type, message, errorCode }, plan.requestId, headers);
  }
  call.outcome = 'scripted_error';
  // An error costs nothing.
  call.billed = NOTHING;
  return false;
}

async function answer(response: ServerResponse, plan: Plan, call: Call): Promise<Outcome> {
  if (plan.request.stream) {
    const { end, outputTokens } = await streamMessage(response, plan);
    call.output_tokens = outputTokens;
    return end;
  }
  const { script, blocks } = plan;
  const text = blocks.map((block) => (block.type === 'text' ? block.pieces.join('') : '')).join('');
  call.output_tokens = outputTokensOf(
    text,
    blocks.reduce((sum, block) => sum + tokensBesideText(block), 0),
    blocks.length,
  );
  const content = blocks.map((block) => whole(block));
  sendJson(
    response,
    200,
    {
      id: plan.id,
      type: 'message',
      role: 'assistant',
      model: plan.model,
      content: content.filter((block) => !('text' in block && block.text === '')),
      stop_reason: plan.stopReason,
      stop_sequence: plan.stopSequence,
      stop_details: plan.stopDetails,
      usage: usageOfWhole(script, plan.input, blocks, call.output_tokens),
    },
    headersOf(plan),
  );
  return 'completed';
}

function headersOf({ requestId, script }: Plan): Record<string, string> {
  return { 'request-id': requestId, ...rateLimitHeaders(script.rate_limit), ...script.headers };
}
