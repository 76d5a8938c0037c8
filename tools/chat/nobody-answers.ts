import type { WaitingJob } from '@rejoinder/client';
import { lineOf } from './tool-words.js';

/** A turn waits for a person, and nobody can be asked here. The turn goes on waiting. */
export class NobodyAnswers extends Error {
  constructor({ id, required_action }: WaitingJob) {
    const calls = required_action.tool_calls.map((call) => `  ${lineOf(call)} [call ${call.id}]`).join('\n');
    super(
      `The turn waits for a person, and there is no terminal to ask one:\n${calls}\n` +
        `Answer in another client until ${required_action.expires_at} [job ${id}].`,
    );
  }
}
