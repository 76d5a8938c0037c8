import type { JSX } from 'preact';
import { visible, visibleLine } from '../state/plain-text';
import { type Field, zoneOf } from '../state/result-fields';

interface ResultFieldProps {
  readonly id: string;
  readonly field: Field;
  readonly text: string;
  /** What is wrong with it. */
  readonly fault: string | undefined;
  readonly onText: (text: string) => void;
}

/** One field of a tool's result, with its name, what it is for, and what is wrong with it. */
export function ResultField({ id, field, text, fault, onText }: ResultFieldProps): JSX.Element {
  const { kind, isRequired, label } = field;
  const hint = [field.hint, zoneHint(kind)].filter((part) => part !== undefined).join(' ');
  const described = [hint !== '' && `${id}-hint`, fault !== undefined && `${id}-fault`].filter(Boolean).join(' ');
  const common = {
    id,
    value: text,
    required: isRequired,
    'aria-invalid': fault !== undefined,
    'aria-describedby': described || undefined,
    onInput: (event: { readonly currentTarget: { readonly value: string } }) => onText(event.currentTarget.value),
  };
  return (
    <div class="call-field">
      <label for={id}>
        <bdi>{visibleLine(label)}</bdi>
        {!isRequired && <span class="optional"> (optional)</span>}
      </label>
      {drawn(field, common)}
      {hint !== '' && (
        <p id={`${id}-hint`} class="call-hint" dir="auto">
          {visible(hint.slice(0, 1_000))}
        </p>
      )}
      {fault !== undefined && (
        <p id={`${id}-fault`} class="fault" role="alert">
          {visible(fault.slice(0, 1_000))}
        </p>
      )}
    </div>
  );
}

function drawn({ kind, choices, isRequired }: Field, common: object): JSX.Element {
  switch (kind) {
    case 'choice':
      return (
        <select {...common}>
          {/* No value is chosen for the user. */}
          {(choices.length > 1 || !isRequired) && <option value="">–</option>}
          {choices.map((value, n) => (
            <option key={n} value={String(n)}>
              {value === true ? 'Yes' : value === false ? 'No' : visibleLine(String(value))}
            </option>
          ))}
        </select>
      );
    case 'lines':
      return <textarea {...common} rows={4} dir="auto" autocomplete="off" />;
    case 'number':
    case 'integer':
      // Not `type="number"`: that shows nothing of a value that is none, and changes with the wheel.
      return <input {...common} inputMode={kind === 'integer' ? 'numeric' : 'decimal'} autocomplete="off" />;
    case 'date':
      return <input {...common} type="date" />;
    case 'time':
      return <input {...common} type="time" step={1} />;
    case 'date-time':
      return <input {...common} type="datetime-local" step={1} />;
    case 'text':
      return <input {...common} dir="auto" autocomplete="off" />;
  }
}

function zoneHint(kind: Field['kind']): string | undefined {
  return kind === 'time' || kind === 'date-time' ? `In your time zone (UTC${zoneOf(new Date())}).` : undefined;
}
