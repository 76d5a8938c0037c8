import { SetMetadata } from '@nestjs/common';

export const PUBLIC = 'rejoinder:public';

/** Opens a route to callers without a token. All other routes are closed. */
export const Public = (): ClassDecorator & MethodDecorator => SetMetadata(PUBLIC, true);
