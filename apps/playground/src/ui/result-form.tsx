import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Problem } from '../state/problem';
import { faultyField, type Field, resultOf } from '../state/result-fields';
import { ProblemText } from './problem-text';
import { ResultField } from './result-field';

interface ResultFormProps {
  /** Undefined: the schema is not simple, or there is none. */
  readonly fields: readonly Field[] | undefined;
  readonly hasSchema: boolean;
  readonly isSending: boolean;
  readonly problem: Problem | undefined;
  readonly onSend: (content: unknown) => void;
  readonly onFail: () => void;
}

/** The field for a result whose schema is not simple. */
const ANYTHING: Field = {
  name: undefined,
  label: 'Your answer',
  hint: undefined,
  kind: 'lines',
  isRequired: true,
  choices: [],
  preset: '',
};

/** Takes the result of a tool from the user: in fields, if its schema is simple, or else as JSON or text. */
export function ResultForm({ fields, hasSchema, isSending, problem, onSend, onFail }: ResultFormProps): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const [drawn] = useState(() => fields ?? [{ ...ANYTHING, hint: hasSchema ? 'JSON, or a text.' : undefined }]);
  const [texts, setTexts] = useState<ReadonlyMap<Field, string>>(
    () => new Map(drawn.map((field) => [field, field.preset])),
  );
  const [faults, setFaults] = useState<ReadonlyMap<Field, string>>(new Map());
  const id = useId();

  /** What the service found wrong, at the field that it names; elsewhere it is shown as a whole. */
  const words =
    problem?.code === 'validation_failed' ? problem.details?.map(({ message }) => message).join(' ') : undefined;
  const refused = words === undefined ? undefined : faultyField(drawn, words);
  const faultOf = (field: Field): string | undefined =>
    faults.get(field) ?? (field === refused ? sentence(words) : undefined);

  const isFaulty = faults.size > 0 || refused !== undefined;
  useEffect(() => {
    if (isFaulty) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [faults, problem]);

  const send = (event: Event): void => {
    event.preventDefault();
    if (isSending) return;
    const filled = resultOf(drawn, texts);
    setFaults('faults' in filled ? filled.faults : new Map());
    if ('content' in filled)
      onSend(fields === undefined && hasSchema ? parsed(filled.content as string) : filled.content);
  };

  return (
    <form ref={form} class="call-form" noValidate onSubmit={send}>
      {drawn.map((field, n) => (
        <ResultField
          key={field.name}
          id={`${id}-${n}`}
          field={field}
          text={texts.get(field) ?? ''}
          fault={faultOf(field)}
          onText={(text) => setTexts((known) => new Map(known).set(field, text))}
        />
      ))}
      {refused === undefined && <ProblemText problem={problem} />}
      <div class="choices">
        <button class="button" type="submit" aria-disabled={isSending}>
          {isSending ? 'Sending…' : 'Send the answer'}
        </button>
        <button class="button quiet" type="button" onClick={onFail}>
          I can’t…
        </button>
      </div>
    </form>
  );
}

/** JSON as a value; another text as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The service's words about a field as a sentence, without the field's path: that is known from where they stand. */
function sentence(words = ''): string {
  return words
    .replace(/^does not match the tool's schema: (?:\/\S* )?/, '')
    .replace(/^\w/, (first) => first.toUpperCase());
}
