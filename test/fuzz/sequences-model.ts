import { Answered } from './sequences-answers.js';
import { ChatSteps } from './sequences-chat-steps.js';
import type { Call } from './sequences-known.js';
import type { Facts, State } from './sequences-state.js';
import { TurnSteps } from './sequences-turn-steps.js';

/*
 * A model of the service as one user sees it, in memory, as a few rules. It gets each call with its answer, and gives the states in which
 * the service may be afterwards. A state that does not allow the answer throws `Wrong`. The model cannot know ids, times, or whether a job
 * has begun: it takes them from the first answer that has them, and compares later ones.
 */

/** How many moments a call has an effect at. */
export function momentsOf({ step, answer }: Call): number {
  switch (step.do) {
    case 'turn':
      return step.waits !== 'not' &&
        (answer.status < 300 || answer.status === 502 || answer.body.code === 'turn_canceled')
        ? 2
        : 1;
    case 'delete':
      return answer.status === 204 ? 2 : 1;
    case 'cancel':
      return answer.status === 404 ? 2 : 1;
    default:
      return 1;
  }
}

/** @returns the states after a call's `moment` (from 0) @throws Wrong when there is none */
export function after(state: State, call: Call, moment: number, facts: Facts): State[] {
  const next = step(state, call, moment, facts);
  return Array.isArray(next) ? next : [next as State];
}

function step(state: State, call: Call, moment: number, facts: Facts): State | readonly State[] {
  const { step, answer } = call;
  const chats = new ChatSteps(state, call, facts);
  const turns = new TurnSteps(state, call, facts);
  switch (step.do) {
    case 'open':
      return chats.open(step.assistant, step.title);
    case 'change':
      return chats.change(step.change);
    case 'shelve':
      return chats.shelve(step.status);
    case 'delete':
      return moment === 0 ? chats.deleted() : chats.forgotten();
    case 'chat':
      return chats.readChat();
    case 'page':
      return chats.readPage(step.limit, step.from === 'after' && call.from !== undefined);
    case 'list':
      return chats.list(step);
    case 'leave':
      return chats.leave();
    case 'message':
      return turns.message();
    case 'turn':
      if (moment === 1) return turns.outcome();
      return turns.turn(momentsOf(call) === 2, answer.body.job_id ?? answer.body.id);
    case 'reply':
      return turns.reply();
    case 'cancel':
      return turns.cancel(moment, step.by);
    case 'requeue':
      return turns.requeue();
    case 'job':
      return turns.readJob();
    case 'spy':
      // A stranger gets 404 for everything, and changes nothing.
      return new Answered(state, call, facts).is(404, 'not_found');
    case 'again':
      throw new Error('What is done again is told as what was done.');
  }
}
