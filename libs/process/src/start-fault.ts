/** Why a process cannot start, where its operator can mend it: the message says all, and no stack is printed. */
export class StartFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}
