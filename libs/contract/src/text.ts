import { registerDecorator } from 'class-validator';

const BLANK = /^\s*$/u;

/** The fault of a text; undefined: none. Lengths count code points, as JSON Schema does. */
export function textFault(value: unknown, min: number, max: number): string | undefined {
  if (typeof value !== 'string') return 'must be a string';
  // A code point takes one or two units, so most texts need no counting.
  const tooLong = value.length > max && (value.length > 2 * max || [...value].length > max);
  if (tooLong) return `must be at most ${max} characters long`;
  if (min > 0 && BLANK.test(value)) return 'must not be blank';
  // PostgreSQL stores neither NUL nor half a surrogate pair.
  if (value.includes('\0')) return 'must not contain NUL';
  if (!value.isWellFormed()) return 'must be well-formed Unicode, without lone surrogates';
  return undefined;
}

/** A text of `min` to `max` code points that PostgreSQL can store; with `min` ≥ 1 not blank either. */
export function IsText(min: number, max: number): PropertyDecorator {
  return (target, propertyName) => {
    registerDecorator({
      name: 'isText',
      target: target.constructor,
      propertyName: propertyName as string,
      constraints: [min, max],
      validator: {
        validate: (value: unknown) => textFault(value, min, max) === undefined,
        defaultMessage: (args) => textFault(args?.value, min, max) ?? 'is invalid',
      },
    });
  };
}
