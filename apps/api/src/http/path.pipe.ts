import type { PipeTransform } from '@nestjs/common';
import { SLUG } from '#contract/slug.js';
import { isId } from '#database/ids.js';
import { notFound } from '#errors/service-error.js';
import { isUserId } from '../auth/jwt.strategy.js';

/** Checks a parameter of the path. A value that cannot be an id or a slug is answered like an unknown one: 404. */
class PathPipe implements PipeTransform<string, string> {
  constructor(
    private readonly isName: (value: string) => boolean,
    private readonly what: Parameters<typeof notFound>[0],
  ) {}

  transform(value: string): string {
    if (!this.isName(value)) throw notFound(this.what);
    // Clients may write UUIDs in capitals (RFC 9562, section 4). The database writes them in small letters, and ids are compared as text.
    return value.toLowerCase();
  }
}

const isSlug = (value: string): boolean => SLUG.test(value);

export const AssistantSlug = new PathPipe(isSlug, 'assistant');
export const ChatId = new PathPipe(isId, 'chat');
export const JobId = new PathPipe(isId, 'job');
export const ToolCallId = new PathPipe(isId, 'tool call');
/** A user's id, as written in its tokens. */
export const UserName: PipeTransform<string, string> = {
  transform(value) {
    if (!isUserId(value)) throw notFound('user');
    return value;
  },
};

export const ReceiptId = new PathPipe(isId, 'receipt');

/** The assistant's slug on an assistant's path of a chat: a wrong one means that the chat is not found. */
export const ChatSpace = new PathPipe(isSlug, 'chat');
