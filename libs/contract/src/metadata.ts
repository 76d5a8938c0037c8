import { registerDecorator } from 'class-validator';
import { textFault } from './text.js';

export const METADATA_KEYS = 16;
export const METADATA_KEY_LENGTH = 64;
export const METADATA_VALUE_LENGTH = 512;

function metadataFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object';
  const entries = Object.entries(value);
  if (entries.length > METADATA_KEYS) return `must have at most ${METADATA_KEYS} keys`;
  for (const [key, text] of entries) {
    const keyFault = textFault(key, 1, METADATA_KEY_LENGTH);
    if (keyFault) return `has a key that ${keyFault}`;
    const fault = textFault(text, 0, METADATA_VALUE_LENGTH);
    if (fault) return `has a value that ${fault}`;
  }
  return undefined;
}

/** The caller's own notes on a resource: a flat object of short texts. */
export function IsMetadata(): PropertyDecorator {
  return (target, propertyName) => {
    registerDecorator({
      name: 'isMetadata',
      target: target.constructor,
      propertyName: propertyName as string,
      validator: {
        validate: (value: unknown) => metadataFault(value) === undefined,
        defaultMessage: (args) => metadataFault(args?.value) ?? 'is invalid',
      },
    });
  };
}
