import type { Chat } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Conversation } from '../state/conversation';
import type { Talker } from '../state/talker';
import { Avatar } from './avatar';
import { ChatName } from './chat-name';
import { Icon } from './icons';
import { Sheet } from './sheet';

interface ChatHeaderProps {
  readonly conversation: Conversation;
  readonly chat: Chat | undefined;
  readonly talker: Talker;
  readonly onMenu: (() => void) | undefined;
  readonly onNew: () => void;
  readonly onToggleInspector: () => void;
  readonly inspectorOpen: boolean;
}

/** The chat's assistant and state, and what the user can do with the chat. */
export function ChatHeader(props: ChatHeaderProps): JSX.Element {
  const { conversation, chat, talker, onMenu, onNew, onToggleInspector, inspectorOpen } = props;
  const [asking, setAsking] = useState(false);
  return (
    <header class="chat-head">
      {onMenu && (
        <button class="icon-button" type="button" aria-label="Assistants and chats" onClick={onMenu}>
          <Icon name="menu" />
        </button>
      )}
      {chat !== undefined && (
        <>
          <Avatar of={talker} />
          <div class="chat-title">
            <ChatName title={chat.title} talker={talker} onRename={(title) => void conversation.rename(title)} />
            <p>
              <span class={`status ${chat.status}`}>{chat.status}</span>
              {chat.title !== null && <> · {talker.name}</>}
            </p>
          </div>
          <div class="chat-actions">
            {chat.status === 'active' && (
              <button
                class="icon-button"
                type="button"
                aria-label="Archive"
                title="Archive"
                onClick={() => void conversation.change('archived')}
              >
                <Icon name="archive" />
              </button>
            )}
            {chat.status === 'archived' && (
              <button
                class="icon-button also-below"
                type="button"
                aria-label="Reopen"
                title="Reopen"
                onClick={() => void conversation.change('active')}
              >
                <Icon name="reopen" />
              </button>
            )}
            {chat.status !== 'closed' && (
              <button
                class="icon-button"
                type="button"
                aria-label="Close for good"
                title="Close for good"
                aria-haspopup="dialog"
                onClick={() => setAsking(true)}
              >
                <Icon name="lock" />
              </button>
            )}
            {chat.status !== 'active' && (
              <button
                class="icon-button also-below"
                type="button"
                aria-label="New chat"
                title="New chat"
                onClick={onNew}
              >
                <Icon name="plus" />
              </button>
            )}
            <button
              class="icon-button"
              type="button"
              aria-label="Inspector"
              title="Inspector"
              aria-pressed={inspectorOpen}
              onClick={onToggleInspector}
            >
              <Icon name="panel" />
            </button>
          </div>
        </>
      )}
      {asking && (
        <Sheet label="Close this chat?" side="center" onClose={() => setAsking(false)}>
          <h2>Close this chat?</h2>
          <p>You can still read it, but closing is final: it takes no more messages.</p>
          <div class="choices">
            <button class="button quiet" type="button" onClick={() => setAsking(false)}>
              Keep it open
            </button>
            <button
              class="button destructive"
              type="button"
              onClick={() => {
                setAsking(false);
                void conversation.change('closed');
              }}
            >
              Close for good
            </button>
          </div>
        </Sheet>
      )}
    </header>
  );
}
