import { Answered } from './sequences-answers.js';
import { type Chat, ended, type Job, kindOf, takenIn, type State, Wrong } from './sequences-state.js';
import type { By } from './sequences-steps.js';

/** The model's rules about messages, turns and jobs: each method is a step, or one moment of it, and gives the state after it. */
export class TurnSteps extends Answered {
  message(): State {
    const { chatId, key, print, text, answer } = this.call;
    const kept = this.kept();
    if (kept === 'reused') return this.is(422, 'idempotency_key_reused');
    const chat = this.chatByPath();
    if (chat === undefined) return this.is(404, 'not_found');
    if (kept === undefined && this.takesNothing(chatId)) return this.state;
    this.is(201);
    this.same(answer.replayed, kept !== undefined, 'replayed');
    const seq = kept?.seq ?? chat.messages.length + 1;
    const next = kept === undefined ? this.stored(chatId, text) : this.state;
    new TurnSteps(next, this.call, this.facts).messagesAre(chatId, seq, seq, [answer.body]);
    if (kept !== undefined || key === undefined) return next;
    return { ...next, keys: { ...next.keys, [key]: { print, chatId, seq } } };
  }

  turn(waits: boolean, jobId: string): State {
    const { chatId, text, answer } = this.call;
    const kept = this.kept();
    if (kept === 'reused') return this.is(422, 'idempotency_key_reused');
    const chat = this.chatByPath();
    if (chat === undefined) return this.is(404, 'not_found');
    if (kept === undefined && this.takesNothing(chatId)) return this.state;
    if (!waits) this.is(202);
    const next = kept === undefined ? this.accepted(this.stored(chatId, text), chatId, jobId) : this.state;
    this.same(jobId, kept?.jobId ?? jobId, 'the job of the key');
    // An error's header says only whether its turn was a replay. A chat that is deleted during the request cancels the turn before or after
    // that is known, so then both are right.
    if (answer.body.code !== 'turn_canceled') this.same(answer.replayed, kept !== undefined, 'replayed');
    return waits ? next : this.asAccepted(next, jobId);
  }

  reply(): State {
    const { chatId, answer } = this.call;
    const kept = this.kept();
    if (kept === 'reused') return this.is(422, 'idempotency_key_reused');
    const chat = this.state.chats[chatId];
    if (chat === undefined) return this.is(404, 'not_found');
    if (kept === undefined) {
      if (this.takesNothing(chatId)) return this.state;
      if (chat.messages.at(-1)?.role !== 'user') return this.is(409, 'invalid_transition');
    }
    this.is(202);
    this.same(answer.replayed, kept !== undefined, 'replayed');
    const jobId = answer.body.id as string;
    this.same(jobId, kept?.jobId ?? jobId, 'the job of the key');
    return this.asAccepted(kept === undefined ? this.accepted(this.state, chatId, jobId) : this.state, jobId);
  }

  /** The end of a turn that was waited for. */
  outcome(): State {
    const { answer } = this.call;
    const { body } = answer;
    const jobId = (body.job_id ?? body.id) as string;
    const job = this.state.jobs[jobId];
    if (job === undefined) throw new Wrong(`there is no job ${jobId}`);
    if (this.state.chats[job.chatId] === undefined) return this.is(409, 'turn_canceled');
    switch (job.status) {
      case 'open':
        this.is(202);
        return this.jobIs(jobId, body);
      case 'failed':
        return this.is(502, 'assistant_failed');
      case 'canceled':
        return this.is(409, 'turn_canceled');
      case 'succeeded':
        this.is(200);
        this.messagesAre(job.chatId, job.seq, job.seq + 1, [body.user_message, body.assistant_message]);
        this.same(body.assistant_message.job_id, jobId, 'the reply’s job');
        return this.state;
    }
  }

  cancel(moment: number, by: By): State | State[] {
    const { jobId, answer } = this.call;
    const job = this.job();
    if (answer.status === 404 && moment === 0) {
      // It may have canceled the job, and then found its chat deleted.
      if (job?.status !== 'open') return this.state;
      return [this.state, ended(this.state, jobId, 'canceled', false), ended(this.state, jobId, 'canceled', true)];
    }
    if (job === undefined) return this.is(404, 'not_found');
    if (job.status === 'succeeded' || job.status === 'failed') {
      this.same(answer.body.job_id, jobId, 'the job');
      return this.is(409, 'invalid_transition');
    }
    this.is(200);
    if (by === 'operator') {
      this.same(answer.body.status, 'canceled', 'the state');
      // Operators do not see whether there was text.
      if (job.status !== 'open') return this.state;
      return [ended(this.state, jobId, 'canceled', false), ended(this.state, jobId, 'canceled', true)];
    }
    const next =
      job.status === 'open' ? ended(this.state, jobId, 'canceled', answer.body.assistant_message !== null) : this.state;
    return new TurnSteps(next, this.call, this.facts).jobIs(jobId, answer.body);
  }

  requeue(): State {
    const { jobId } = this.call;
    const job = this.job();
    const chat = job && this.state.chats[job.chatId];
    if (job === undefined || chat === undefined) return this.is(404, 'not_found');
    if (job.status !== 'failed') return this.is(409, 'invalid_transition');
    if (this.takesNothing(job.chatId)) return this.state;
    if (chat.messages.length > job.seq) return this.is(409, 'invalid_transition');
    this.is(200);
    const messages = takenIn(chat.messages, jobId);
    const again: Job = { ...job, kind: kindOf(messages), status: 'open', begun: false, final: undefined };
    return this.with({ chats: { [job.chatId]: { ...chat, messages } }, jobs: { [jobId]: again } });
  }

  readJob(): State {
    const { jobId, answer, match } = this.call;
    if (this.job() === undefined) return this.is(404, 'not_found');
    return this.jobIs(jobId, this.represented(answer.body, match));
  }

  private stored(chatId: string, content: string): State {
    const chat = this.state.chats[chatId] as Chat;
    const messages = [...chat.messages, { role: 'user' as const, content, jobId: null, leftOutBy: null }];
    return this.with({ chats: { [chatId]: { ...chat, messages } } });
  }

  private accepted(state: State, chatId: string, jobId: string): State {
    this.must(state.jobs[jobId] === undefined, 'the job is not new');
    const { key, print } = this.call;
    const chat = state.chats[chatId] as Chat;
    // A reply that is asked for again takes in again what was left out.
    const messages = takenIn(chat.messages, chat.messages.at(-1)?.leftOutBy ?? null);
    const job: Job = {
      chatId,
      seq: messages.length,
      kind: kindOf(messages),
      status: 'open',
      begun: false,
      accepted: undefined,
      final: undefined,
    };
    const keys = key === undefined ? state.keys : { ...state.keys, [key]: { print, chatId, jobId } };
    const chats = { ...state.chats, [chatId]: { ...chat, messages } };
    return { ...state, chats, jobs: { ...state.jobs, [jobId]: job }, keys };
  }

  /** The answer is the job as it was accepted. */
  private asAccepted(state: State, jobId: string): State {
    const job = state.jobs[jobId] as Job;
    const { body } = this.call.answer;
    if (job.accepted !== undefined) this.same(body, job.accepted, 'the job as it was accepted');
    else {
      const { id, status, chat_id, assistant_message, error, attempts, started_at, finished_at } = body;
      const expected = [jobId, 'queued', job.chatId, null, null, 0, null, null];
      this.same(
        [id, status, chat_id, assistant_message, error, attempts, started_at, finished_at],
        expected,
        'the job',
      );
      this.answersMessage(job, body);
    }
    return { ...state, jobs: { ...state.jobs, [jobId]: { ...job, accepted: body } } };
  }
}
