import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { borrowStack } from '../support/borrow-stack.js';
import { Client } from '../support/client.js';
import { KeyServer, newKey, signedBy, type SigningKey, tokenOf } from '../support/key-server.js';
import type { App } from '../support/processes.js';
import type { Stack } from '../support/stack.js';

interface Provider {
  /** The provider's key, and its entry in the provider's set. */
  readonly key: SigningKey;
  readonly jwk: object;
  readonly header?: object;
  /** The claims of its tokens, from its own documentation. */
  readonly claims: Record<string, unknown>;
  /** The provider's other tokens, which are not for this service, with their differences. */
  readonly others: Record<string, Record<string, unknown>>;
}

const now = Math.floor(Date.now() / 1_000);
const user = 'd3b07384-d9a0-4c9b-8f3e-6a1f5e1c2b3a';
const times = { iat: now, exp: now + 3_600 };
const RS256 = { alg: 'RS256', use: 'sig' };

const PROVIDERS: Record<string, Provider> = {
  Auth0: {
    key: newKey('auth0', 'RS256'),
    jwk: RS256,
    claims: {
      iss: 'https://example.eu.auth0.com/',
      sub: 'auth0|6553da60a54af58e29493993',
      aud: ['https://rejoinder.example.com', 'https://example.eu.auth0.com/userinfo'],
      azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      scope: 'openid profile',
      ...times,
    },
    others: {
      'for another API': { aud: ['https://other.example.com', 'https://example.eu.auth0.com/userinfo'] },
      'of another tenant': { iss: 'https://other.eu.auth0.com/' },
    },
  },
  Keycloak: {
    key: newKey('keycloak', 'RS256'),
    jwk: RS256,
    claims: {
      iss: 'https://id.example.com/realms/shop',
      sub: user,
      aud: ['rejoinder', 'account'],
      typ: 'Bearer',
      azp: 'web',
      sid: user,
      acr: '1',
      'allowed-origins': ['https://app.example.com'],
      realm_access: { roles: ['offline_access', 'uma_authorization'] },
      resource_access: { account: { roles: ['manage-account'] } },
      scope: 'openid email profile',
      preferred_username: 'ana',
      ...times,
    },
    others: {
      'without the audience mapper': { aud: 'account' },
      'of another realm': { iss: 'https://id.example.com/realms/master' },
    },
  },
  'Entra ID': {
    key: newKey('entra', 'RS256'),
    // Its set has no `alg`, but a certificate beside the key.
    jwk: { use: 'sig', x5t: 'entra', x5c: ['MIIC/TCCAeWgAwIBAgIIe'] },
    header: { x5t: 'entra' },
    claims: {
      iss: 'https://login.microsoftonline.com/0a1b2c3d-0000-4000-8000-00000000cafe/v2.0',
      sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
      aud: '6e74172b-0000-4000-8000-0000000000a1',
      azp: '4d1b2c3d-0000-4000-8000-0000000000b2',
      azpacr: '0',
      oid: user,
      tid: '0a1b2c3d-0000-4000-8000-00000000cafe',
      scp: 'access_as_user',
      ver: '2.0',
      nbf: now,
      ...times,
    },
    others: {
      'for Microsoft Graph': { aud: '00000003-0000-0000-c000-000000000000' },
      'of version 1': { iss: 'https://sts.windows.net/0a1b2c3d-0000-4000-8000-00000000cafe/', ver: '1.0' },
      'of another tenant': { iss: 'https://login.microsoftonline.com/ffffffff-0000-4000-8000-00000000cafe/v2.0' },
    },
  },
  Cognito: {
    key: newKey('cognito+kid=', 'RS256'),
    jwk: RS256,
    claims: {
      iss: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example',
      sub: user,
      client_id: '1example23456789',
      token_use: 'access',
      scope: 'openid aws.cognito.signin.user.admin',
      'cognito:groups': ['readers'],
      auth_time: now,
      event_id: user,
      jti: user,
      username: 'ana',
      version: 2,
      ...times,
    },
    others: {
      'of another app client': { client_id: '9other87654321' },
      'that are ID tokens': { client_id: undefined, token_use: 'id', aud: '1example23456789' },
      'of another pool': { iss: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other' },
    },
  },
  Supabase: {
    key: newKey('supabase', 'ES256'),
    jwk: { alg: 'ES256', use: 'sig', key_ops: ['verify'], ext: true },
    claims: {
      iss: 'https://example.supabase.co/auth/v1',
      sub: user,
      aud: 'authenticated',
      role: 'authenticated',
      aal: 'aal1',
      session_id: user,
      email: 'ana@example.com',
      phone: '',
      is_anonymous: false,
      app_metadata: { provider: 'email' },
      user_metadata: { scope: 'admin' },
      amr: [{ method: 'password', timestamp: now }],
      ...times,
    },
    others: {
      'that are the anon key': { sub: undefined, role: 'anon', aud: undefined, iss: 'supabase' },
      'of another project': { iss: 'https://other.supabase.co/auth/v1' },
    },
  },
  Clerk: {
    key: newKey('ins_clerk', 'RS256'),
    jwk: RS256,
    header: { cat: 'cl_B7d4PD111AAA' },
    claims: {
      iss: 'https://clerk.example.com',
      sub: 'user_2xhFjEI5X2qWRvtV13BzSj8H6Dk',
      azp: 'https://app.example.com',
      sid: 'sess_2xhFjEI5X2qWRvtV13BzSj8H6Dk',
      sts: 'active',
      fva: [7, -1],
      v: 2,
      nbf: now - 10,
      iat: now,
      exp: now + 60,
    },
    others: {
      'of another page': { azp: 'https://other.example.com' },
      'of no page': { azp: undefined },
    },
  },
  Firebase: {
    key: newKey('firebase', 'RS256'),
    jwk: RS256,
    claims: {
      iss: 'https://securetoken.google.com/example-project',
      sub: 'Q9xXk3b2ZTfJ0bqPpJpV4d6m3kE2',
      aud: 'example-project',
      user_id: 'Q9xXk3b2ZTfJ0bqPpJpV4d6m3kE2',
      auth_time: now,
      email_verified: false,
      firebase: { identities: {}, sign_in_provider: 'anonymous' },
      ...times,
    },
    others: {
      'of another project': { aud: 'other-project', iss: 'https://securetoken.google.com/other-project' },
    },
  },
};

/** The settings in each row of the table on the page about tokens. */
function settingsInThePage(): [name: string, settings: Record<string, string>][] {
  const page = readFileSync('docs/operations/tokens.md', 'utf8');
  const [, table = ''] = page.split('| provider | ');
  const [columns = '', , ...rows] = `provider | ${table}`.split('\n\n', 1)[0]?.split('\n') ?? [];
  const cells = (row: string): string[] =>
    row
      .replace(/^\||\|$/g, '')
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', ''));
  return rows.map((row) => {
    const [name = '', ...values] = cells(row);
    return [
      name,
      Object.fromEntries(
        cells(columns)
          .slice(1)
          .map((column, n) => [column, values[n] ?? '']),
      ),
    ];
  });
}

describe('the settings for an identity provider', () => {
  const keys = new KeyServer();
  const apis = new Map<string, App>();
  let stack: Stack;
  beforeAll(async () => {
    keys.keys = Object.values(PROVIDERS).map(({ key, jwk }) => ({ ...key.jwk, ...jwk }));
    await keys.start();
    stack = await borrowStack({ ownWorkers: 0 });
    await Promise.all(
      settingsInThePage().map(async ([name, settings]) => {
        // A test cannot ask the providers' own addresses.
        expect(settings['JWT_JWKS_URI']).toMatch(/^https:\/\//);
        apis.set(name, await stack.startApi({ ...settings, JWT_SECRET: '', JWT_JWKS_URI: keys.url }));
      }),
    );
  });
  afterAll(async () => {
    await stack?.stop();
    await keys.stop();
  });

  it('are on the page for each provider that has a test', () => {
    expect(settingsInThePage().map(([name]) => name)).toEqual(Object.keys(PROVIDERS));
  });

  it.each(Object.entries(PROVIDERS))('of %s accept its users’ tokens, and no others', async (name, provider) => {
    const statusOf = async (more: object, path = '/api/v1/chats'): Promise<number> => {
      const { key, header, claims } = provider;
      const token = tokenOf(
        { alg: key.alg, kid: key.kid, typ: 'JWT', ...header },
        { ...claims, ...more },
        signedBy(key),
      );
      return (await new Client(apis.get(name)?.url ?? '', token).get(path)).status;
    };
    expect(await statusOf({})).toBe(200);
    for (const [which, more] of Object.entries(provider.others))
      expect([which, await statusOf(more)]).toEqual([which, 401]);
    // A user's own data at the provider makes nobody an operator.
    expect(await statusOf({}, '/api/v1/admin/dispatch')).toBe(404);
    expect(await statusOf({ scope: 'openid admin' }, '/api/v1/admin/dispatch')).toBe(200);
  });
});
