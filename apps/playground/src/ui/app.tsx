import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { signIn } from '../state/session';
import { useStore } from '../state/store';
import { Workspace } from '../state/workspace';
import { Shell } from './shell';
import { SignInPanel } from './sign-in';

/** The page: the sign-in, or everything else. */
export function App(): JSX.Element | null {
  const { session, reason, pending } = useStore(signIn);
  const user = session?.user;
  const [workspace, setWorkspace] = useState<Workspace>();
  useEffect(() => {
    if (user === undefined) return;
    const mine = new Workspace(user);
    setWorkspace(mine);
    return () => {
      mine.leave();
      setWorkspace(undefined);
    };
  }, [user]);

  if (pending) return null;
  if (session === undefined) return <SignInPanel reason={reason} />;
  return workspace === undefined ? null : <Shell workspace={workspace} />;
}
