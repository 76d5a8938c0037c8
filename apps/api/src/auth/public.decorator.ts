import { SetMetadata } from '@nestjs/common';

export const PUBLIC = 'rejoinder:public';

/** Opens a route to callers without a token. Everything not marked so is closed. */
export const Public = (): ClassDecorator & MethodDecorator => SetMetadata(PUBLIC, true);
