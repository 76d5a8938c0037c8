import { type ArgumentMetadata, Injectable, type PipeTransform, type Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { getMetadataStorage, validate, type ValidationError } from 'class-validator';
import { type FieldFault, ServiceError } from '#errors/service-error.js';

/** Field names come from the request and go into the answer, so they are shortened. */
const LONGEST_FIELD = 100;

/** Most unknown fields that an error lists: a body may have tens of thousands, and the answer must not be many times as long. */
const MOST_UNKNOWN = 20;

/**
 * Checks bodies and queries against their DTO classes; unknown fields are refused, not dropped.
 *
 * Nest's own pipe would not see all unknown fields. It removes `constructor` from the input, and class-transformer, which copies the rest,
 * skips fields that are named like a method of all objects. (json-body.ts refuses `__proto__` before.)
 */
@Injectable()
export class StrictValidationPipe implements PipeTransform<unknown, Promise<unknown>> {
  private readonly fields = new WeakMap<Type, ReadonlySet<string>>();

  /** @throws ServiceError `validation_failed` naming the wrong fields */
  async transform(value: unknown, { type, metatype }: ArgumentMetadata): Promise<unknown> {
    if ((type !== 'body' && type !== 'query') || metatype === undefined) return value;
    const known = this.fieldsOf(metatype);
    // A missing body means no fields.
    const entries = Object.entries(value ?? {});
    const fields = Object.fromEntries(entries.filter(([field]) => known.has(field)));
    // A query has only texts, which its DTO class converts. A body has typed values, which stay as they are.
    const dto = (
      type === 'query' ? plainToInstance(metatype, fields) : Object.assign(new metatype() as object, fields)
    ) as object;
    const errors = await validate(dto, { stopAtFirstError: true, forbidUnknownValues: false });
    const details = [
      ...errors.flatMap(faults),
      ...unknownFields(
        entries.map(([field]) => field),
        known,
      ),
    ];
    if (details.length > 0) throw new ServiceError('validation_failed', 'The request has invalid fields.', { details });
    return dto;
  }

  /** The fields of a DTO class: those that have a check. */
  private fieldsOf(dto: Type): ReadonlySet<string> {
    let fields = this.fields.get(dto);
    if (fields === undefined) {
      const checks = getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false);
      fields = new Set(checks.map(({ propertyName }) => propertyName));
      this.fields.set(dto, fields);
    }
    return fields;
  }
}

/** A fault for each of `fields` that is not known; at most {@link MOST_UNKNOWN}. */
export function unknownFields(fields: readonly string[], known: ReadonlySet<string> = new Set()): FieldFault[] {
  return fields
    .filter((field) => !known.has(field))
    .slice(0, MOST_UNKNOWN)
    .map((field) => ({
      field: field.slice(0, LONGEST_FIELD).toWellFormed(),
      message: 'is not a field of this request',
    }));
}

function faults({ property, constraints }: ValidationError): FieldFault[] {
  return Object.values(constraints ?? {}).map((message) => ({
    field: property,
    message: message.replace(`${property} `, ''),
  }));
}
