import type { Message } from '@rejoinder/client';
import type { JSX } from 'preact';
import type { Talker } from '../state/talker';
import { Avatar } from './avatar';
import { memo } from './memo';
import { Prose } from './prose';
import { timeOf } from './times';

interface MessageItemProps {
  readonly message: Message;
  readonly talker: Talker;
  /** The day, where it is the first of one. */
  readonly day: string | undefined;
  readonly onInspect: (jobId?: string) => void;
}

/** A message of the history. Drawn once: messages never change. */
export const MessageItem = memo(
  function MessageItem({ message, talker, day, onInspect }: MessageItemProps): JSX.Element {
    const { id, role, content, status, created_at: createdAt, job_id: jobId } = message;
    const isUsers = role === 'user';
    return (
      <li id={`m-${id}`} class={`message ${role}`}>
        {day !== undefined && <div class="day">{day}</div>}
        <div class="bubble-row">
          {!isUsers && <Avatar of={talker} size="small" />}
          <div class="bubble">
            <span class="unseen">{isUsers ? 'You:' : `${talker.name}:`}</span>
            <Prose text={content} />
          </div>
        </div>
        <div class="under">
          {status === 'incomplete' && <span class="chip incomplete">Stopped</span>}
          <time dateTime={createdAt}>{timeOf(createdAt)}</time>
          {jobId !== null && (
            <button class="link" type="button" onClick={() => onInspect(jobId)}>
              Details
            </button>
          )}
        </div>
      </li>
    );
  },
  ['onInspect'],
);
