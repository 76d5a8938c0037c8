import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { PassportModule } from '@nestjs/passport';
import type { Settings } from '#settings/settings.js';
import { BearerGuard } from './auth.guard.js';
import { JwtStrategy } from './jwt.strategy.js';
import { ProviderKeys } from './provider-keys.js';
import { VerifiedTokens } from './verified-tokens.js';
import { SecretKey, type TokenKeys } from './token-keys.js';

const TOKEN_KEYS = Symbol('token keys');

@Module({})
export class AuthModule {
  static forRoot(jwt: Settings['jwt']): DynamicModule {
    return {
      module: AuthModule,
      imports: [PassportModule.register({ session: false })],
      providers: [
        { provide: TOKEN_KEYS, useFactory: () => tokenKeys(jwt) },
        { provide: JwtStrategy, useFactory: (keys: TokenKeys) => new JwtStrategy(jwt, keys), inject: [TOKEN_KEYS] },
        { provide: VerifiedTokens, useFactory: (keys: TokenKeys) => new VerifiedTokens(keys), inject: [TOKEN_KEYS] },
        { provide: APP_GUARD, useClass: BearerGuard },
      ],
    };
  }
}

function tokenKeys({ secret, jwksUri, audience, clientIds }: Settings['jwt']): TokenKeys {
  if (secret !== undefined) return new SecretKey(secret);
  if (jwksUri === undefined) throw new Error('Neither JWT_SECRET nor JWT_JWKS_URI is set.');
  if (audience === undefined && clientIds === undefined) {
    const what = 'the API also accepts the tokens that the identity provider signs for other services';
    new Logger(AuthModule.name).warn(`Neither JWT_AUDIENCE nor JWT_CLIENT_IDS is set: ${what}`);
  }
  return new ProviderKeys(jwksUri);
}
