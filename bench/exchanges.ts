import type { Exchange } from './load.js';
import { ASSISTANT, type Starter, type Talker } from './seed.js';

/** The headers that identify a user. */
export type As = (user: string) => Record<string, string>;

const JSON_BODY = { 'content-type': 'application/json' };

/** Opens the user's existing chat. */
export const upsertOf = (as: As, { user }: Pick<Talker, 'user'>): Exchange => ({
  method: 'POST',
  path: `/api/v1/assistants/${ASSISTANT}/chats`,
  headers: { ...as(user), ...JSON_BODY },
  body: '{}',
  expect: 200,
});

export const pollOf = (as: As, { user, job }: Pick<Talker, 'user' | 'job'>): Exchange => ({
  method: 'GET',
  path: `/api/v1/jobs/${job}`,
  headers: as(user),
  expect: 200,
});

const pagePath = (chat: string): string => `/api/v1/chats/${chat}/messages?limit=50`;

export const pageOf = (as: As, { user, chat }: Starter): Exchange => ({
  method: 'GET',
  path: pagePath(chat),
  headers: as(user),
  expect: 200,
});

/** The same request again, with the `ETag` of its answer. Sends it once first. */
export async function unchangedOf(url: string, as: As, { user, chat }: Starter): Promise<Exchange> {
  const { headers } = await fetch(url + pagePath(chat), { headers: as(user) });
  return {
    method: 'GET',
    path: pagePath(chat),
    headers: { ...as(user), 'if-none-match': headers.get('etag') ?? '' },
    expect: 304,
  };
}

export const turnOf = (as: As, { user, chat }: Starter, asynchronous: boolean): Exchange => ({
  method: 'POST',
  path: `/api/v1/chats/${chat}/turns`,
  headers: { ...as(user), ...JSON_BODY, ...(asynchronous && { prefer: 'respond-async' }) },
  body: '{"user_message":"Where is my order, and when will it be here?"}',
  expect: asynchronous ? 202 : 200,
});
