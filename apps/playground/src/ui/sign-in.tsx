import type { JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import { givesTokens, signInAs, signInWith } from '../state/session';
import { Copy } from './copy';
import { Icon, Mark } from './icons';

const COMMAND = 'npm run --silent token -- alice';

/** Shown when nobody is signed in. */
export function SignInPanel({ reason }: { readonly reason: string | undefined }): JSX.Element {
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <Mark />
        <h1>Rejoinder playground</h1>
        <p class="lead">Talk to the assistants of this service, and watch what the API does meanwhile.</p>
        {reason !== undefined && (
          <p class="notice" role="alert">
            <Icon name="alert" />
            {reason}
          </p>
        )}
        <SignInForm />
      </div>
    </main>
  );
}

/** Asks for a name where the service gives tokens to the page, else for a token. */
export function SignInForm({
  onDone,
  name = '',
}: {
  readonly onDone?: () => void;
  readonly name?: string;
}): JSX.Element {
  const id = useId();
  const [byName, setByName] = useState(givesTokens());
  const [value, setValue] = useState(name);
  const [fault, setFault] = useState<string>();
  const [busy, setBusy] = useState(false);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (value.trim() === '') return setFault(byName ? 'Type a name first.' : 'Paste a token first.');
    setBusy(true);
    setFault(undefined);
    try {
      if (byName) await signInAs(value.trim());
      else signInWith(value);
      onDone?.();
    } catch (error) {
      setFault((error as Error).message);
      setByName(givesTokens() && byName);
    } finally {
      setBusy(false);
    }
  };

  return (
    <form class="sign-in-form" onSubmit={(event) => void submit(event)} noValidate>
      <label for={id}>{byName ? 'User name' : 'Bearer token'}</label>
      {byName ? (
        <input
          id={id}
          value={value}
          placeholder="alice"
          maxLength={255}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-invalid={fault !== undefined}
          aria-describedby={`${id}-more`}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
      ) : (
        <textarea
          id={id}
          rows={4}
          value={value}
          placeholder="eyJhbGciOiJIUzI1NiIs…"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-invalid={fault !== undefined}
          aria-describedby={`${id}-more`}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
      )}
      <div id={`${id}-more`} class="hint">
        {fault !== undefined && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        {byName ? (
          <p>Any name will do. Each name is a user with chats of its own.</p>
        ) : (
          <>
            <p>In the directory of the service, this prints one that is valid for 24 hours:</p>
            <p class="command">
              <code>{COMMAND}</code>
              <Copy text={COMMAND} label="Copy the command" />
            </p>
          </>
        )}
      </div>
      <button class="button primary" type="submit" disabled={busy}>
        {byName ? 'Continue' : 'Sign in'}
      </button>
    </form>
  );
}
