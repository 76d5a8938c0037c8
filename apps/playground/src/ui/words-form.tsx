import type { JSX } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../state/problem';
import { isForInputMethod } from './input-method';
import { ProblemText } from './problem-text';

/** The contract's limit for the reason of a denial, in characters. */
const LONGEST = 1_000;

interface WordsFormProps {
  readonly label: string;
  readonly isRequired: boolean;
  readonly action: string;
  readonly isSending: boolean;
  readonly problem: Problem | undefined;
  /** Undefined: the user gives no words. */
  readonly onSend: (words: string | undefined) => void;
  readonly onBack: () => void;
}

/** Asks for a few words: why a call is denied, or why there is no result. Enter sends, Escape leads back. */
export function WordsForm({
  label,
  isRequired,
  action,
  isSending,
  problem,
  onSend,
  onBack,
}: WordsFormProps): JSX.Element {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [words, setWords] = useState('');
  const [isMissing, setMissing] = useState(false);
  useLayoutEffect(() => field.current?.focus(), []);
  return (
    <form
      class="call-form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const given = words.trim();
        setMissing(isRequired && given === '');
        if (!isRequired || given !== '') onSend(given || undefined);
        else field.current?.focus();
      }}
    >
      <div class="call-field">
        <label for={id}>{label}</label>
        <input
          id={id}
          ref={field}
          dir="auto"
          value={words}
          maxLength={LONGEST}
          autocomplete="off"
          enterkeyhint="send"
          aria-invalid={isMissing}
          aria-describedby={isMissing ? `${id}-fault` : undefined}
          onInput={(event) => setWords(event.currentTarget.value)}
          onKeyDown={(event) => event.key === 'Escape' && !isForInputMethod(event) && onBack()}
        />
        {isMissing && (
          <p id={`${id}-fault`} class="fault" role="alert">
            Write a few words.
          </p>
        )}
      </div>
      <ProblemText problem={problem} />
      <div class="choices">
        <button class="button destructive" type="submit" aria-disabled={isSending}>
          {isSending ? 'Sending…' : action}
        </button>
        <button class="button quiet" type="button" onClick={onBack}>
          Back
        </button>
      </div>
    </form>
  );
}
