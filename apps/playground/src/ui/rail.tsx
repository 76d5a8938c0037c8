import type { Chat } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type Talker, talkerOf } from '../state/talker';
import { useStore } from '../state/store';
import { addressOf, type Workspace } from '../state/workspace';
import { Icon, Mark } from './icons';
import { Avatar, initialOf } from './avatar';
import { ago } from './times';
import { UserSheet } from './user-sheet';

interface RailProps {
  readonly workspace: Workspace;
  /** Called when the user has chosen something. */
  readonly onPick: () => void;
}

/** The list of assistants and chats. */
export function Rail({ workspace, onPick }: RailProps): JSX.Element {
  const { assistants, chats, before } = useStore(workspace.lists);
  const open = useStore(workspace.conversation);
  const [userOpen, setUserOpen] = useState(false);

  return (
    <nav class="rail" aria-label="Assistants and chats">
      <a class="brand" href="#/" onClick={onPick}>
        <Mark />
        <span>Rejoinder</span>
      </a>
      <div class="rail-scroll">
        <h2 id="assistants">Assistants</h2>
        <ul class="assistants" aria-labelledby="assistants">
          {assistants?.map(({ slug, name, description }) => (
            <li key={slug}>
              <button
                class="row"
                type="button"
                title={description}
                onClick={() => {
                  onPick();
                  void workspace.talkTo(slug);
                }}
              >
                <Avatar of={talkerOf(assistants, slug)} />
                <span class="row-text">
                  <span class="row-title">{name}</span>
                  <span class="row-more">{description}</span>
                </span>
              </button>
            </li>
          ))}
          {assistants === undefined && <Ghosts count={3} />}
        </ul>
        <h2 id="chats">Your chats</h2>
        <ul class="chats" aria-labelledby="chats">
          {chats?.map((chat) => (
            <ChatRow
              key={chat.id}
              chat={chat}
              talker={talkerOf(assistants, chat.assistant)}
              isOpen={chat.id === open?.chatId}
              onPick={onPick}
            />
          ))}
          {chats === undefined && <Ghosts count={2} />}
        </ul>
        {chats?.length === 0 && <p class="rail-empty">None yet. Pick an assistant to begin one.</p>}
        {before !== null && (
          <button
            class="button quiet more"
            type="button"
            onClick={() => void workspace.moreChats().catch(() => undefined)}
          >
            Show more
          </button>
        )}
      </div>
      <button class="row user" type="button" aria-haspopup="dialog" onClick={() => setUserOpen(true)}>
        <span class="avatar user-avatar" aria-hidden="true">
          {initialOf(workspace.user)}
        </span>
        <span class="row-text">
          <span class="row-title" dir="auto">
            {workspace.user}
          </span>
          <span class="row-more">Account and appearance</span>
        </span>
        <Icon name="dots" />
      </button>
      {userOpen && <UserSheet user={workspace.user} onClose={() => setUserOpen(false)} />}
    </nav>
  );
}

function ChatRow({
  chat,
  talker,
  isOpen,
  onPick,
}: {
  chat: Chat;
  talker: Talker;
  isOpen: boolean;
  onPick: () => void;
}): JSX.Element {
  return (
    <li>
      <a class="row chat-row" href={addressOf(chat.id)} aria-current={isOpen ? 'page' : undefined} onClick={onPick}>
        <Avatar of={talker} size="small" />
        <span class="row-text">
          <span class="row-title" dir="auto">
            {chat.title ?? talker.name}
          </span>
          <span class="row-more">
            {chat.title !== null && <>{talker.name} · </>}
            <time dateTime={chat.last_message_at}>{ago(chat.last_message_at)}</time>
          </span>
        </span>
        {chat.unfinished_job_id !== null && (
          <span class="dot" role="img" aria-label="A reply is on its way" title="A reply is on its way" />
        )}
        {chat.status !== 'active' && <span class={`chip ${chat.status}`}>{chat.status}</span>}
      </a>
    </li>
  );
}

function Ghosts({ count }: { readonly count: number }): JSX.Element {
  return (
    <>
      {Array.from({ length: count }, (_, n) => (
        <li key={n} class="ghost" aria-hidden="true" />
      ))}
    </>
  );
}
