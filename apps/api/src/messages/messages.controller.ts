import { Body, Controller, Get, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { PageQuery } from '#contract/queries.dto.js';
import { CreateMessageRequest } from '#contract/requests.dto.js';
import type { RequestKey } from '#database/request-key.js';
import { UserId } from '../auth/caller.decorator.js';
import { Operation } from '../http/operation.decorator.js';
import { ChatId, ChatSpace } from '../http/path.pipe.js';
import { sendReplayed, TheRequestKey } from '../idempotency/idempotency-header.js';
import { type MessageOrigin, MessagesService } from './messages.service.js';
import type { MessagesPage } from './page.js';
import { presentMessage } from './present-message.js';

type Schemas = components['schemas'];

/** A chat's messages, on the chat's own path and on its assistant's. */
@Controller('api/v1')
export class MessagesController {
  constructor(private readonly messages: MessagesService) {}

  @Get('chats/:chat_id/messages')
  @Operation('listMessages', [200, 304, 404, 412, 422])
  list(
    @UserId() userId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Query() query: PageQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['MessagePage']> {
    return this.answerPage(userId, chatId, undefined, query, reply);
  }

  @Get('assistants/:slug/chats/:chat_id/messages')
  @Operation('listAssistantChatMessages', [200, 304, 404, 412, 422])
  listScoped(
    @UserId() userId: string,
    @Param('slug', ChatSpace) slug: string,
    @Param('chat_id', ChatId) chatId: string,
    @Query() query: PageQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['MessagePage']> {
    return this.answerPage(userId, chatId, slug, query, reply);
  }

  @Post('chats/:chat_id/messages')
  @Operation('createMessage', [201, 404, 409, 413, 415, 422, 429])
  async create(
    @UserId() userId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: CreateMessageRequest,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Message']> {
    return this.store({ userId, chatId, assistantSlug: undefined, requestKey }, body, reply);
  }

  @Post('assistants/:slug/chats/:chat_id/messages')
  @Operation('createAssistantChatMessage', [201, 404, 409, 413, 415, 422, 429])
  async createScoped(
    @UserId() userId: string,
    @Param('slug', ChatSpace) slug: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: CreateMessageRequest,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Message']> {
    return this.store({ userId, chatId, assistantSlug: slug, requestKey }, body, reply);
  }

  private async store(
    origin: MessageOrigin,
    body: CreateMessageRequest,
    reply: FastifyReply,
  ): Promise<Schemas['Message']> {
    const { message, replayed } = await this.messages.create(origin, body);
    sendReplayed(reply, replayed);
    return presentMessage(message);
  }

  private async answerPage(
    userId: string,
    chatId: string,
    slug: string | undefined,
    query: PageQuery,
    reply: FastifyReply,
  ): Promise<Schemas['MessagePage']> {
    const page = await this.messages.page(userId, chatId, slug, query);
    const links = pageLinks(query.limit, page);
    if (links !== '') void reply.header('link', links);
    return {
      data: page.messages.map(presentMessage),
      has_more: page.hasMore,
      before: page.before,
      after: page.after,
    };
  }
}

/** `Link` (RFC 8288) to the neighbouring pages: `prev` is older, `next` newer. The links have the page's own address with another query. */
function pageLinks(limit: number | undefined, page: MessagesPage): string {
  const link = (rel: string, name: string, cursor: string): string => {
    const query = new URLSearchParams({ ...(limit !== undefined && { limit: String(limit) }), [name]: cursor });
    return `<?${query.toString()}>; rel="${rel}"`;
  };
  return [
    page.hasOlder && page.before && link('prev', 'before', page.before),
    page.hasNewer && page.after && link('next', 'after', page.after),
  ]
    .filter(Boolean)
    .join(', ');
}
