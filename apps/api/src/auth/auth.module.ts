import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { PassportModule } from '@nestjs/passport';
import type { Settings } from '#settings/settings.js';
import { BearerGuard } from './auth.guard.js';
import { JwtStrategy } from './jwt.strategy.js';

@Module({})
export class AuthModule {
  static forRoot(jwt: Settings['jwt']): DynamicModule {
    return {
      module: AuthModule,
      imports: [PassportModule.register({ session: false })],
      providers: [
        { provide: JwtStrategy, useFactory: () => new JwtStrategy(jwt) },
        { provide: APP_GUARD, useClass: BearerGuard },
      ],
    };
  }
}
