import type { JSX } from 'preact';
import { useStore } from '../state/store';
import { talkerOf } from '../state/talker';
import type { Workspace } from '../state/workspace';
import { Avatar } from './avatar';
import { Icon } from './icons';
import { ProblemText } from './problem-text';

interface LandingProps {
  readonly workspace: Workspace;
  readonly onMenu: (() => void) | undefined;
}

/** Shown when no chat is open: the assistants to choose from. */
export function Landing({ workspace, onMenu }: LandingProps): JSX.Element {
  const { assistants, problem } = useStore(workspace.lists);
  return (
    <div class="landing">
      {onMenu && (
        <button class="icon-button landing-menu" type="button" aria-label="Assistants and chats" onClick={onMenu}>
          <Icon name="menu" />
        </button>
      )}
      <div class="landing-inside">
        <h1>Who would you like to talk to?</h1>
        <p class="lead">Every chat here goes through the public API. Open the inspector to see what it does.</p>
        <ProblemText problem={problem} />
        <ul class="cards" aria-label="Assistants">
          {assistants?.map(({ slug, name, description }) => (
            <li key={slug}>
              <button class="assistant-card" type="button" onClick={() => void workspace.talkTo(slug)}>
                <Avatar of={talkerOf(assistants, slug)} size="large" />
                <span class="row-title">{name}</span>
                <span class="row-more">{description}</span>
              </button>
            </li>
          ))}
        </ul>
        <p class="landing-links">
          <a href="docs">Swagger UI</a>
          <a href="openapi.yaml">Contract</a>
        </p>
      </div>
    </div>
  );
}
