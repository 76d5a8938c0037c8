import type { JSX } from 'preact';
import { theme } from '../state/preferences';
import { givesTokens, signOut } from '../state/session';
import { Icon } from './icons';
import { Segmented } from './segmented';
import { Sheet } from './sheet';
import { SignInForm } from './sign-in';

/** Shows the user, a way to be another one, and the page's appearance. */
export function UserSheet({ user, onClose }: { readonly user: string; readonly onClose: () => void }): JSX.Element {
  const leaveChat = (): void => {
    // The open chat belongs to the previous user.
    location.hash = '#/';
    onClose();
  };
  return (
    <Sheet label="Account and appearance" side="center" onClose={onClose}>
      <div class="card-head">
        <h2>Account and appearance</h2>
        <button class="icon-button" type="button" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <Segmented
        label="Appearance"
        store={theme}
        options={[
          ['system', 'System'],
          ['light', 'Light'],
          ['dark', 'Dark'],
        ]}
      />
      <div class="card-part">
        <p class="signed-in">
          Signed in as <strong dir="auto">{user}</strong>
        </p>
        <h3>{givesTokens() ? 'Be somebody else' : 'Use another token'}</h3>
        <SignInForm onDone={leaveChat} />
      </div>
      <button
        class="button quiet danger"
        type="button"
        onClick={() => {
          leaveChat();
          signOut();
        }}
      >
        Sign out
      </button>
    </Sheet>
  );
}
