import { SetMetadata } from '@nestjs/common';

export const REQUIRES = 'rejoinder:requires';

/** Closes a route to tokens without this scope: to them it does not exist. */
export const Requires = (scope: 'admin'): ClassDecorator & MethodDecorator => SetMetadata(REQUIRES, scope);
