import { Body, Get, Logger, Param, Patch, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { EntityManager } from 'typeorm';
import { AdminChatsQuery, UpdateAdminChatRequest } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import { chatColumns } from '#database/columns.js';
import type { Chat } from '#database/entities/chat.entity.js';
import { UserTags } from '#database/user-tags.js';
import { notFound } from '#errors/service-error.js';
import { logLine } from '#process/log-line.js';
import { UserId } from '../auth/caller.decorator.js';
import { ChatsService } from '../chats/chats.service.js';
import { etagOf } from '../http/etag.js';
import { Operation } from '../http/operation.decorator.js';
import { ChatId } from '../http/path.pipe.js';
import { type Preconditions, ThePreconditions } from '../http/preconditions.js';
import { ForOperators } from './admin.decorator.js';
import { presentAdminChat } from './present-admin-chat.js';

type Schemas = components['schemas'];

const READ = `SELECT ${chatColumns('c')} FROM chats c WHERE c.id = $1 AND c.user_id IS NOT NULL`;

/** All users' chats, without their messages. */
@ForOperators('chats')
export class AdminChatsController {
  private readonly logger = new Logger(AdminChatsController.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly chats: ChatsService,
    private readonly users: UserTags,
  ) {}

  @Get()
  @Operation('listAdminChats', [200, 304, 404, 412, 422])
  async list(@Query() { user, ...query }: AdminChatsQuery): Promise<Schemas['AdminChatPage']> {
    const { chats, hasMore, before, after } = await this.chats.list(user, query);
    return { data: chats.map(presentAdminChat), has_more: hasMore, before, after };
  }

  @Get(':chat_id')
  @Operation('getAdminChat', [200, 304, 404, 412, 422])
  async get(@Param('chat_id', ChatId) chatId: string): Promise<Schemas['AdminChat']> {
    return presentAdminChat(await this.read(chatId));
  }

  @Patch(':chat_id')
  @Operation('updateAdminChat', [200, 404, 409, 412, 413, 415, 422])
  async update(
    @UserId() operatorId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() { status }: UpdateAdminChatRequest,
    @ThePreconditions() preconditions: Preconditions,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['AdminChat']> {
    const { userId, status: before } = await this.read(chatId);
    const changed = await this.chats.update(userId ?? '', chatId, { status }, preconditions, presentAdminChat);
    if (status !== before) {
      this.logger.warn(
        logLine(`an operator set the chat to ${status}`, { chat_id: chatId, operator: this.users.tagOf(operatorId) }),
      );
    }
    const chat = presentAdminChat(changed);
    void reply.header('etag', etagOf(JSON.stringify(chat), operatorId));
    return chat;
  }

  private async read(chatId: string): Promise<Chat> {
    const [chat] = await this.manager.query<Chat[]>(READ, [chatId]);
    if (chat === undefined) throw notFound('chat');
    return chat;
  }
}
