import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { ChatsQuery } from '#contract/queries.dto.js';
import { NoFields, OpenChatRequest, UpdateChatRequest } from '#contract/requests.dto.js';
import type { RequestKey } from '#database/request-key.js';
import { UserId } from '../auth/caller.decorator.js';
import { etagOf } from '../http/etag.js';
import { sendLocation } from '../http/location.js';
import { Operation } from '../http/operation.decorator.js';
import { AssistantSlug, ChatId } from '../http/path.pipe.js';
import { type Preconditions, ThePreconditions } from '../http/preconditions.js';
import { sendReplayed, TheRequestKey } from '../idempotency/idempotency-header.js';
import { presentMessage } from '../messages/present-message.js';
import { ChatsService } from './chats.service.js';
import { OpenChat } from './open-chat.js';
import { presentChat } from './present-chat.js';

type Schemas = components['schemas'];

@Controller('api/v1')
export class ChatsController {
  constructor(
    private readonly chats: ChatsService,
    private readonly opening: OpenChat,
  ) {}

  @Post('assistants/:slug/chats')
  @Operation('openChat', [200, 201, 404, 413, 415, 422, 429])
  async open(
    @UserId() userId: string,
    @Param('slug', AssistantSlug) slug: string,
    @Body() body: OpenChatRequest,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['OpenedChat']> {
    const { chat, created, replayed, page } = await this.opening.open(userId, slug, body, requestKey);
    sendReplayed(reply, replayed);
    void reply.status(created ? 201 : 200);
    if (created) void sendLocation(reply, `chats/${chat.id}`);
    return { ...presentChat(chat), messages: page.messages.map(presentMessage), has_more: page.hasMore };
  }

  @Get('chats')
  @Operation('listChats', [200, 304, 412, 422])
  async list(@UserId() userId: string, @Query() query: ChatsQuery): Promise<Schemas['ChatPage']> {
    const page = await this.chats.list(userId, query);
    return { data: page.chats.map(presentChat), has_more: page.hasMore, before: page.before, after: page.after };
  }

  @Get('chats/:chat_id')
  @Operation('getChat', [200, 304, 404, 412, 422])
  async get(@UserId() userId: string, @Param('chat_id', ChatId) chatId: string): Promise<Schemas['Chat']> {
    return presentChat(await this.chats.get(userId, chatId));
  }

  @Patch('chats/:chat_id')
  @Operation('updateChat', [200, 404, 409, 412, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: UpdateChatRequest,
    @ThePreconditions() preconditions: Preconditions,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Chat']> {
    const chat = presentChat(await this.chats.update(userId, chatId, body, preconditions));
    void reply.header('etag', etagOf(JSON.stringify(chat), userId));
    return chat;
  }

  @Delete('chats/:chat_id')
  @HttpCode(204)
  @Operation('deleteChat', [204, 404, 412, 413, 415, 422])
  delete(
    @UserId() userId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() _body: NoFields,
    @ThePreconditions() preconditions: Preconditions,
  ): Promise<void> {
    return this.chats.delete(userId, chatId, preconditions);
  }
}
