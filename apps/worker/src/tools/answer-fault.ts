/** An answer came whole, and cannot be passed on. The message is a sentence for the model. */
export class AnswerFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AnswerFault';
  }
}
