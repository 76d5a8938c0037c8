import type { Fingerprint } from './world.js';

/**
 * All that has changed between two looks and must not have, in words. `may` names users and chats that may change; `new` stands for new
 * chats, and `shared` for the rows that all users share.
 */
export function effectsOf(before: Fingerprint, after: Fingerprint, may: readonly string[]): string[] {
  const changed: string[] = [];
  for (const id of new Set([...Object.keys(before.chats), ...Object.keys(after.chats)])) {
    if (before.chats[id] === after.chats[id] || may.includes(id)) continue;
    if (before.chats[id] === undefined) {
      if (!may.includes('new')) changed.push(`what chats there are: ${id} is new`);
    } else changed.push(`the chat ${id}`);
  }
  for (const [user, hash] of Object.entries(before.users)) {
    if (after.users[user] !== hash && !may.includes(user)) changed.push(`what is kept of ${user}`);
  }
  if (before.shared !== after.shared && !may.includes('shared')) changed.push('what all have in common');
  return changed;
}
