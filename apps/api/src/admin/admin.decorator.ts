import { applyDecorators, Controller } from '@nestjs/common';
import { Requires } from '../auth/requires.decorator.js';
import { ADMIN_PREFIX } from '../http/hidden.js';

/** Marks a controller for operators: tokens without their scope get the answer of an unknown path. */
export const ForOperators = (path: string): ClassDecorator =>
  applyDecorators(Controller(`${ADMIN_PREFIX.slice(1)}/${path}`), Requires('admin'));
