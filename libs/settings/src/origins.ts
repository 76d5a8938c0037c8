/**
 * Parses `CORS_ORIGINS`: origins as a browser sends them (RFC 6454, section 6.2), with commas between. What a browser would never send is a fault,
 * for it would let nobody in; so is `*`, for whoever is let in is to be named.
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
  if (origin.includes('*')) return 'a * is no origin; each one that is let in must be named.';
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    // It is not repeated: it may be an address with a password.
    return 'origins are written like https://app.example.com or http://localhost:5173, with commas between.';
  }
  return url.origin === origin ? undefined : `an origin has no path and no more: write ${url.origin}.`;
}
