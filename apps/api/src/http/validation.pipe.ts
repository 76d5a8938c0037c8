import { ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type FieldFault, ServiceError } from '#errors/service-error.js';

/** Checks bodies and queries against their DTO classes; fields they do not know are refused, not dropped. */
export function validationPipe(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: true,
    stopAtFirstError: true,
    exceptionFactory: (errors) =>
      new ServiceError('validation_failed', 'The request has invalid fields.', { details: errors.flatMap(faults) }),
  });
}

/** Field names come from the request and go into the answer: they are shortened. */
const LONGEST_FIELD = 100;

function faults(error: ValidationError): FieldFault[] {
  const field = error.property.toWellFormed().slice(0, LONGEST_FIELD);
  const messages = Object.entries(error.constraints ?? {}).map(([rule, message]) =>
    rule === 'whitelistValidation' ? 'is not a field of this request' : message.replace(`${error.property} `, ''),
  );
  return messages.map((message) => ({ field, message }));
}
