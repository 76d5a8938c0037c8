/**
 * Schemes that name no page: under them the origin is `null`, or there is never a page. Shells of apps and extensions have schemes of their
 * own that do name one (`capacitor://localhost`, `tauri://localhost`, `chrome-extension://…`).
 */
const NO_ORIGINS = /^(?:about|blob|data|file|ftp|javascript|mailto|wss?):/i;

/** `scheme "://" host [ ":" port ]`: the origin of a page under an app's own scheme. */
const OF_AN_APP = /^[a-z][a-z\d+.-]*:\/\/[\w.~-]+(?::\d{1,5})?$/;

/**
 * Parses `CORS_ORIGINS`: origins as a browser sends them (RFC 6454, section 6.2), with commas between. A text that a browser would never
 * send is a fault, since it would let no page in. `*` and `null` are faults, too: an operator must name each origin.
 */
export function readOrigins(text: string | undefined, faults: string[]): readonly string[] {
  const origins = (text ?? '').split(',').map((origin) => origin.trim());
  const named = [...new Set(origins.filter((origin) => origin !== ''))];
  for (const origin of named) {
    const fault = faultOf(origin);
    if (fault !== undefined) faults.push(`CORS_ORIGINS: ${fault}`);
  }
  return named;
}

function faultOf(origin: string): string | undefined {
  if (origin.includes('*')) return '* is not an origin; name each origin.';
  if (/^(?:null|file:.*)$/i.test(origin)) {
    return 'any file and any sandboxed frame sends null or file://; serve the page from an origin of its own.';
  }
  const right = originOf(origin);
  if (right === undefined) {
    // The text is not repeated, since it may be an address with a password.
    return 'origins are written like https://app.example.com or capacitor://localhost, with commas between.';
  }
  return right === origin ? undefined : `an origin has no path and nothing after it: write ${right}.`;
}

/** The origin that a browser sends for a page at this address; undefined: no origin names this page. */
function originOf(address: string): string | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '') return undefined;
  if (/^https?:$/.test(url.protocol)) return url.origin;
  const origin = `${url.protocol}//${url.host}`;
  return OF_AN_APP.test(origin) && !NO_ORIGINS.test(origin) ? origin : undefined;
}
