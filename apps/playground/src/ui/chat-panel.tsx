import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { Conversation } from '../state/conversation';
import { talkerOf } from '../state/talker';
import { useStore } from '../state/store';
import type { Workspace } from '../state/workspace';
import { ChatHeader } from './chat-header';
import { Composer } from './composer';
import { History } from './history';

interface ChatPanelProps {
  readonly workspace: Workspace;
  readonly conversation: Conversation;
  readonly onMenu: (() => void) | undefined;
  /** Opens the inspector for a message's job (default: the newest). */
  readonly onInspect: (jobId?: string) => void;
  readonly onToggleInspector: () => void;
  readonly inspectorOpen: boolean;
}

/** One chat: its header, its history, and the composer. */
export function ChatPanel(props: ChatPanelProps): JSX.Element {
  const { workspace, conversation, onMenu, onInspect, onToggleInspector, inspectorOpen } = props;
  const view = useStore(conversation.view);
  const { assistants } = useStore(workspace.lists);
  const { chat, phase } = view;
  const slug = chat?.assistant ?? '';
  // The same object while nothing changes, so that drawn messages are not drawn again.
  const talker = useMemo(() => talkerOf(assistants, slug), [assistants, slug]);
  const { name } = talker;

  useEffect(() => {
    document.title = name === '' ? 'Rejoinder' : `${chat?.title ?? name} · Rejoinder`;
    return () => {
      document.title = 'Rejoinder';
    };
  }, [name, chat?.title]);

  return (
    <section class="chat" aria-label={`Chat with ${name}`}>
      <ChatHeader
        conversation={conversation}
        chat={chat}
        talker={talker}
        onMenu={onMenu}
        onNew={() => void workspace.talkTo(chat?.assistant ?? '')}
        onToggleInspector={onToggleInspector}
        inspectorOpen={inspectorOpen}
      />
      {phase === 'missing' ? (
        <div class="nothing">
          <h2>There is no such chat</h2>
          <p>It may belong to somebody else: only its own user can see a chat.</p>
          <a class="button" href="#/">
            To the assistants
          </a>
        </div>
      ) : (
        <History conversation={conversation} view={view} talker={talker} onInspect={onInspect} />
      )}
      {chat !== undefined && phase === 'ready' && (
        <Composer
          conversation={conversation}
          view={view}
          chat={chat}
          assistant={name}
          onNew={() => void workspace.talkTo(chat.assistant)}
        />
      )}
      <Announcer conversation={conversation} />
    </section>
  );
}

/** Announces events to screen readers; not each piece, which nobody could follow. */
function Announcer({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  return (
    <div class="unseen" aria-live="polite">
      {useStore(conversation.exchange.announcement)}
    </div>
  );
}
