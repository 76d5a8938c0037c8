import type { JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Talker } from '../state/talker';
import { LONGEST_TITLE } from '../state/title';
import { Icon } from './icons';
import { isForInputMethod } from './input-method';

interface ChatNameProps {
  readonly title: string | null;
  readonly talker: Talker;
  readonly onRename: (title: string) => void;
}

/** The title of a chat, which can be edited in place. */
export function ChatName({ title, talker, onRename }: ChatNameProps): JSX.Element {
  const [editing, setEditing] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  /** After Enter or Escape the focus returns to the button; after a click elsewhere it goes there. */
  const comesBack = useRef(false);

  useLayoutEffect(() => {
    if (!editing && comesBack.current) button.current?.focus();
  }, [editing]);

  if (editing) {
    return (
      <NameField
        title={title ?? ''}
        placeholder={talker.name}
        onDone={(text, byKey) => {
          comesBack.current = byKey;
          setEditing(false);
          if (text !== undefined && text.trim() !== (title ?? '')) onRename(text);
        }}
      />
    );
  }
  return (
    <div class="chat-name">
      <h1 dir="auto" title={title ?? undefined}>
        {title ?? talker.name}
      </h1>
      <button
        ref={button}
        class="icon-button small"
        type="button"
        aria-label="Rename"
        title="Rename"
        onClick={() => setEditing(true)}
      >
        <Icon name="pencil" />
      </button>
    </div>
  );
}

function NameField({
  title,
  placeholder,
  onDone,
}: {
  readonly title: string;
  readonly placeholder: string;
  /** Called with the new text, or with undefined when the old one stays. */
  readonly onDone: (text: string | undefined, byKey: boolean) => void;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  /** Removing the field from the page takes its focus away, which must not count as a second end. */
  const done = useRef(false);
  const finish = (text: string | undefined, byKey: boolean): void => {
    if (done.current) return;
    done.current = true;
    onDone(text, byKey);
  };
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  return (
    <input
      ref={field}
      class="chat-name-field"
      aria-label="Title of the chat"
      dir="auto"
      defaultValue={title}
      placeholder={placeholder}
      maxLength={LONGEST_TITLE}
      enterkeyhint="done"
      autocomplete="off"
      onKeyDown={(event) => {
        if (isForInputMethod(event)) return;
        if (event.key === 'Enter') finish(event.currentTarget.value, true);
        if (event.key === 'Escape') finish(undefined, true);
      }}
      onBlur={(event) => finish(event.currentTarget.value, false)}
    />
  );
}
