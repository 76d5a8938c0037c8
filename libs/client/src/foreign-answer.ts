import { ConnectionError } from './errors.js';

/** Statuses below 500 by which a gateway says that the service is not there now. */
const GATEWAY = new Set([408, 425, 429]);

/** An answer that the service did not give: a proxy's error page, another program's page, a Wi-Fi's login page. */
export class ForeignAnswer extends ConnectionError {
  private constructor(
    message: string,
    /** Whether asking again is of no use. */
    readonly isFinal: boolean,
  ) {
    super(message);
  }

  /**
   * What such an answer says. As long as the service itself has never answered there, its address is most likely wrong. Once it has, the answer
   * is an accident on the way, which may pass. So it may when a gateway says that what is behind it is away, and when the answer does not even
   * say what it is.
   */
  static of({ status, headers }: Response, baseUrl: string, known: boolean): ForeignAnswer {
    const type = headers.get('content-type')?.split(';', 1)[0];
    const passing = known || status >= 500 || GATEWAY.has(status) || type === undefined;
    const said = `Something else than the service answered ${status} (${type ?? 'no content type'}) at ${baseUrl}.`;
    return new ForeignAnswer(passing ? said : `${said} Is baseUrl the address of a Rejoinder?`, !passing);
  }
}
