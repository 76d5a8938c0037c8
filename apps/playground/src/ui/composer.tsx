import type { Chat } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { Conversation } from '../state/conversation';
import { useStore } from '../state/store';
import { isUnderWay } from '../state/turn';
import type { View } from '../state/view';
import { Icon } from './icons';
import { isForInputMethod } from './input-method';
import { ProblemText } from './problem-text';
import { useMedia } from './use-media';
import { WaitingHint } from './waiting-hint';

interface ComposerProps {
  readonly conversation: Conversation;
  readonly view: View;
  readonly chat: Chat;
  readonly assistant: string;
  readonly onNew: () => void;
}

/** The contract's limit for a message, in characters, and the length from which on the composer shows a count. */
const LONGEST = 32_000;
const SHOWN_FROM = 28_000;

/** Where the user types, or why they cannot. */
export function Composer({ conversation, view, chat, assistant, onNew }: ComposerProps): JSX.Element {
  const text = useStore(conversation.draft.text);
  const field = useRef<HTMLTextAreaElement>(null);
  const byTouch = useMedia('(pointer: coarse)');
  const { turn, notice } = view;
  const isBusy = isUnderWay(turn);
  const isOpen = chat.status === 'active';
  const length = [...text].length;
  const canSend = isOpen && !isBusy && text.trim() !== '' && length <= LONGEST;

  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text, isOpen]);

  // On a phone, the focus would open the keyboard over the messages.
  useEffect(() => {
    if (!byTouch) field.current?.focus();
  }, [isOpen]);

  const send = (): void => {
    if (!canSend) return;
    conversation.exchange.send();
    field.current?.focus();
  };

  if (!isOpen) {
    return (
      <div class="composer">
        <ProblemText problem={notice} onDismiss={() => conversation.dismiss()} />
        <div class="closed-note">
          <p>
            This chat is {chat.status}.{' '}
            {chat.status === 'closed' ? 'That is final.' : 'Reopen it to go on, or begin another.'}
          </p>
          <div class="choices">
            {isBusy && (
              // A turn in flight goes on, so it can still be stopped.
              <button
                class="button quiet"
                type="button"
                disabled={turn.stopping && turn.job !== undefined}
                onClick={() => void conversation.exchange.stop()}
              >
                <Icon name="stop" /> Stop the reply
              </button>
            )}
            {chat.status === 'archived' && (
              <button class="button quiet" type="button" onClick={() => void conversation.change('active')}>
                <Icon name="reopen" /> Reopen
              </button>
            )}
            <button class="button" type="button" onClick={onNew}>
              <Icon name="plus" /> New chat
            </button>
          </div>
        </div>
      </div>
    );
  }
  return (
    <div class="composer">
      <ProblemText problem={notice} onDismiss={() => conversation.dismiss()} />
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <label class="unseen" for="message">
          Your message to {assistant}
        </label>
        <textarea
          id="message"
          ref={field}
          rows={1}
          dir="auto"
          value={text}
          placeholder={`Message ${assistant}`}
          aria-describedby="composer-hint"
          enterkeyhint={byTouch ? 'enter' : 'send'}
          onInput={(event) => conversation.draft.text.set(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || byTouch || isForInputMethod(event)) return;
            event.preventDefault();
            send();
          }}
        />
        {/* Two buttons with different keys: a button that turned from "Stop" to "Send" under a click would send. */}
        {isBusy ? (
          <button
            key="stop"
            class="round stop"
            type="button"
            aria-label="Stop the reply"
            title="Stop the reply"
            disabled={turn.stopping && turn.job !== undefined}
            onClick={() => void conversation.exchange.stop()}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button key="send" class="round" type="submit" aria-label="Send" title="Send" disabled={!canSend}>
            <Icon name="send" />
          </button>
        )}
      </form>
      <p id="composer-hint" class={length > LONGEST ? 'composer-hint too-long' : 'composer-hint'}>
        {length >= SHOWN_FROM ? (
          `${length.toLocaleString()} of ${LONGEST.toLocaleString()} characters`
        ) : isBusy ? (
          <WaitingHint exchange={conversation.exchange} job={turn.job} />
        ) : byTouch ? (
          'One reply at a time.'
        ) : (
          'Enter sends, Shift + Enter makes a new line.'
        )}
      </p>
    </div>
  );
}
