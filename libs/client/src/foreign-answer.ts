import { ConnectionError } from './errors.js';

/** Statuses below 500 with which a gateway says that the service is away. */
const GATEWAY = new Set([408, 425, 429]);

/** An answer that the service did not give: a proxy's error page, another program's page, a Wi-Fi's login page. */
export class ForeignAnswer extends ConnectionError {
  private constructor(
    message: string,
    /** Trying again does not help. */
    readonly isFinal: boolean,
  ) {
    super(message);
  }

  /**
   * The error for such an answer. If the service has never answered at this address, the address is probably wrong, and trying again does
   * not help. It does help when the service has answered before, when a gateway says that the service is away, and when the answer has no
   * content type.
   */
  static of({ status, headers }: Response, baseUrl: string, known: boolean): ForeignAnswer {
    const type = headers.get('content-type')?.split(';', 1)[0];
    const passing = known || status >= 500 || GATEWAY.has(status) || type === undefined;
    const words = `Something else than the service answered ${status} (${type ?? 'no content type'}) at ${baseUrl}.`;
    return new ForeignAnswer(passing ? words : `${words} Is baseUrl the address of a Rejoinder?`, !passing);
  }
}
