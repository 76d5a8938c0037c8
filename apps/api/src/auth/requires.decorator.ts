import { SetMetadata } from '@nestjs/common';

export const REQUIRES = 'rejoinder:requires';

/** Closes a route to tokens without this scope: they get the answer of an unknown path. */
export const Requires = (scope: 'admin'): ClassDecorator & MethodDecorator => SetMetadata(REQUIRES, scope);
