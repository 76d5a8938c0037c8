import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { inspector } from '../state/preferences';
import { reach } from '../state/service';
import { useStore } from '../state/store';
import type { Workspace } from '../state/workspace';
import { ChatPanel } from './chat-panel';
import { Icon } from './icons';
import { Inspector } from './inspector';
import { Landing } from './landing';
import { Rail } from './rail';
import { Sheet } from './sheet';
import { NARROW, NO_INSPECTOR, useMedia } from './use-media';

/** Rail, chat and inspector: side by side if there is room, else above one another. */
export function Shell({ workspace }: { readonly workspace: Workspace }): JSX.Element {
  const conversation = useStore(workspace.conversation);
  const away = useStore(reach) === 'away';
  const wanted = useStore(inspector) === 'open';
  const narrow = useMedia(NARROW);
  const noRoom = useMedia(NO_INSPECTOR);
  const [railOpen, setRailOpen] = useState(false);
  const [sheetOpen, setSheetOpen] = useState(false);
  /** The job in the inspector; undefined: that of the newest turn. */
  const [jobId, setJobId] = useState<string>();

  useEffect(() => {
    setRailOpen(false);
    setSheetOpen(false);
    setJobId(undefined);
  }, [conversation]);

  const inspect = (id?: string): void => {
    setJobId(id);
    if (noRoom) setSheetOpen(true);
    else inspector.set('open');
  };
  const toggle = (): void => {
    if (noRoom) setSheetOpen(true);
    else inspector.set(wanted ? 'closed' : 'open');
  };
  const rail = <Rail workspace={workspace} onPick={() => setRailOpen(false)} />;
  const details = conversation && (
    <Inspector
      key={conversation.chatId}
      client={workspace.client}
      conversation={conversation}
      jobId={jobId}
      onLatest={() => setJobId(undefined)}
      onClose={() => (noRoom ? setSheetOpen(false) : inspector.set('closed'))}
    />
  );
  const beside = details !== undefined && wanted && !noRoom;

  return (
    <div class={`shell${beside ? ' with-inspector' : ''}`}>
      <a
        class="skip"
        href="#message"
        onClick={(event) => {
          // The address names the open chat, so the link must not change it.
          event.preventDefault();
          document.getElementById('message')?.focus();
        }}
      >
        Skip to your message
      </a>
      {!narrow && <div class="rail-place">{rail}</div>}
      <main class="main">
        {away && (
          <p class="banner" role="status">
            <span class="pulse" /> The service does not answer. Trying again…
          </p>
        )}
        {conversation === undefined ? (
          <Landing workspace={workspace} onMenu={narrow ? () => setRailOpen(true) : undefined} />
        ) : (
          <ChatPanel
            key={conversation.chatId}
            workspace={workspace}
            conversation={conversation}
            onMenu={narrow ? () => setRailOpen(true) : undefined}
            onInspect={inspect}
            onToggleInspector={toggle}
            inspectorOpen={noRoom ? sheetOpen : wanted}
          />
        )}
      </main>
      {beside && <div class="inspector-place">{details}</div>}
      {narrow && railOpen && (
        <Sheet label="Assistants and chats" side="left" onClose={() => setRailOpen(false)}>
          <button class="icon-button sheet-close" type="button" aria-label="Close" onClick={() => setRailOpen(false)}>
            <Icon name="close" />
          </button>
          {rail}
        </Sheet>
      )}
      {noRoom && sheetOpen && details !== undefined && (
        <Sheet label="Inspector" side={narrow ? 'bottom' : 'right'} onClose={() => setSheetOpen(false)}>
          {details}
        </Sheet>
      )}
    </div>
  );
}
