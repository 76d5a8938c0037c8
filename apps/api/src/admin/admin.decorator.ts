import { applyDecorators, Controller } from '@nestjs/common';
import { Requires } from '../auth/requires.decorator.js';
import { ADMIN_PREFIX } from '../http/hidden.js';

/** A controller for operators: to tokens without their scope its routes do not exist. */
export const ForOperators = (path: string): ClassDecorator =>
  applyDecorators(Controller(`${ADMIN_PREFIX.slice(1)}/${path}`), Requires('admin'));
