import { inBrowser, inTab } from './storage';
import { Store } from './store';

/** The signed-in user. */
export interface Session {
  readonly user: string;
  readonly token: string;
  /** When the token expires, in milliseconds since the epoch. */
  readonly expiresAt: number;
  /** The service gave the token (in development), so it can give another one. Otherwise somebody pasted it. */
  readonly given: boolean;
}

export interface SignIn {
  readonly session: Session | undefined;
  /** Why nobody is signed in, if there is more to say than "not yet". */
  readonly reason?: string;
  /** The first try to sign in is under way. */
  readonly pending: boolean;
}

/** A token is renewed when it has less than this left, in milliseconds. */
const RENEW_BEFORE_MS = 60_000;

/** The user's name until somebody chooses one. */
const DEFAULT_USER = 'demo';

export const signIn = new Store<SignIn>({ session: undefined, pending: true });

/** The service gives tokens to this page. A `meta` element of the page says so. */
let isGiven = document.querySelector<HTMLMetaElement>('meta[name="sign-in"]')?.content === 'development';

export const givesTokens = (): boolean => isGiven;

/** Takes up the session from before a reload; in development, else begins a new one. */
export async function resume(): Promise<void> {
  const token = inTab.get('token');
  const kept = token === undefined ? undefined : read(token, inTab.get('given') === 'yes');
  if (kept !== undefined && kept.expiresAt > Date.now()) return enter(kept);
  const user = inBrowser.get('user') ?? DEFAULT_USER;
  if (isGiven && inTab.get('out') !== 'yes') await signInAs(user).catch(() => leave());
  else leave();
}

/** Signs in under a name, in development. @throws Error with a message to show */
export async function signInAs(user: string): Promise<void> {
  enter(await given(user));
  inBrowser.set('user', user);
}

/** Signs in with a pasted token. @throws Error with a message to show */
export function signInWith(token: string): void {
  const session = read(token.trim().replace(/^bearer\s+/i, ''), false);
  if (session === undefined) throw new Error('This is not a token: it has three parts of letters, with dots between.');
  if (session.expiresAt <= Date.now()) throw new Error('This token has expired.');
  enter(session);
}

export function signOut(): void {
  inTab.set('out', 'yes');
  leave();
}

/** The token for the next request. A token that is about to expire is renewed if the service gives tokens. */
export async function currentToken(): Promise<string> {
  const { session } = signIn.get();
  if (session === undefined) throw new Error('Nobody is signed in.');
  if (!session.given || session.expiresAt - Date.now() > RENEW_BEFORE_MS) return session.token;
  return (await renewed(session.token)) ?? session.token;
}

let renewing: Promise<string | undefined> | undefined;

/** A new token after one was refused; undefined when there is none, and then the user is signed out. */
export async function renewed(refused: string): Promise<string | undefined> {
  const { session } = signIn.get();
  if (session === undefined) return undefined;
  if (session.token !== refused) return session.token; // another request has renewed it
  if (!session.given) {
    leave('Your token is no longer accepted. It may have expired: paste another one to go on.');
    return undefined;
  }
  renewing ??= given(session.user)
    .then(
      (next) => {
        // The user has signed out or in meanwhile; that holds.
        if (signIn.get().session !== session) return undefined;
        enter(next);
        return next.token;
      },
      () => {
        // Otherwise the service is away, and the next request tries again.
        if (!isGiven && signIn.get().session === session)
          leave('The service gives no tokens any more. Paste one to go on.');
        return undefined;
      },
    )
    .finally(() => (renewing = undefined));
  return renewing;
}

function enter(session: Session): void {
  inTab.set('token', session.token);
  inTab.set('given', session.given ? 'yes' : undefined);
  inTab.set('out', undefined);
  signIn.set({ session, pending: false });
}

function leave(reason?: string): void {
  inTab.set('token', undefined);
  signIn.set({ session: undefined, pending: false, ...(reason !== undefined && { reason }) });
}

/** A token that the service gives. @throws Error with a message to show */
async function given(user: string): Promise<Session> {
  const response = await fetch('playground/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  }).catch(() => undefined);
  if (response === undefined) throw new Error('The service does not answer.');
  if (response.status === 404) {
    isGiven = false;
    throw new Error('The service gives no tokens here.');
  }
  const body = (await response.json()) as { token?: string; details?: { message: string }[] };
  const session = body.token === undefined ? undefined : read(body.token, true);
  if (session === undefined) throw new Error(`The name ${body.details?.[0]?.message ?? 'was not accepted'}.`);
  return session;
}

/** The claims of a token. The service decides whether they are true. */
function read(token: string, isGivenToken: boolean): Session | undefined {
  try {
    const claims = token.split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; exp?: unknown };
    if (typeof sub !== 'string' || typeof exp !== 'number') return undefined;
    return { user: sub, token, expiresAt: exp * 1_000, given: isGivenToken };
  } catch {
    return undefined;
  }
}
