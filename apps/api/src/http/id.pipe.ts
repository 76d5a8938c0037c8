import { Injectable, type PipeTransform } from '@nestjs/common';
import { isId } from '#database/ids.js';
import { notFound } from '#errors/service-error.js';

/** A path's chat id. What is not a UUID names no chat: 404, like any other unknown id. */
@Injectable()
export class ChatIdPipe implements PipeTransform<string, string> {
  transform(value: string): string {
    if (!isId(value)) throw notFound('chat');
    return value;
  }
}

/** A path's job id, in the same way. */
@Injectable()
export class JobIdPipe implements PipeTransform<string, string> {
  transform(value: string): string {
    if (!isId(value)) throw notFound('job');
    return value;
  }
}
