import { type ArgumentMetadata, Injectable, type PipeTransform, type Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { getMetadataStorage, validate, type ValidationError } from 'class-validator';
import { type FieldFault, ServiceError } from '#errors/service-error.js';

/** Field names come from the request and go into the answer, so they are shortened. */
const LONGEST_FIELD = 100;

/** Most unknown fields that are listed: a body may have tens of thousands, and an answer must not be many times as long as its request. */
const MOST_UNKNOWN = 20;

/**
 * Checks bodies and queries against their DTO classes; fields that those do not know are refused, not dropped.
 *
 * Nest's own pipe is not used: it takes `constructor` out of whatever comes in, and has class-transformer copy all of it,
 * which passes over what is called like a method of every object, unknown fields among them. (`__proto__` does not get
 * this far: see json-body.ts.)
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
    // A query is all text, and its class converts it. A body has its types, and stays as it came.
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

/** The unknown ones of `fields`, as faults; only the first, if there are many. */
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
