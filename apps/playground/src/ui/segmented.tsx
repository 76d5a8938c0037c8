import type { JSX } from 'preact';
import { useId } from 'preact/hooks';
import { type Store, useStore } from '../state/store';

interface SegmentedProps<T extends string> {
  readonly label: string;
  readonly store: Store<T>;
  readonly options: readonly (readonly [value: T, name: string])[];
}

/** A choice of a few, side by side. It consists of radio buttons, so that the arrow keys work. */
export function Segmented<T extends string>({ label, store, options }: SegmentedProps<T>): JSX.Element {
  const chosen = useStore(store);
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend>{label}</legend>
      <div class="segments">
        {options.map(([value, text]) => (
          <label key={value}>
            <input
              type="radio"
              name={name}
              value={value}
              checked={chosen === value}
              onChange={() => store.set(value)}
            />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
