/** A fault that keeps a process from starting and that its operator can mend. The message is enough, so no stack is printed. */
export class StartFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}
