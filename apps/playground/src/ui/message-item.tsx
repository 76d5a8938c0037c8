import type { Message } from '@rejoinder/client';
import type { JSX } from 'preact';
import type { Talker } from '../state/talker';
import { endingOf } from '../state/words';
import { Avatar } from './avatar';
import { Markdown } from './markdown';
import { memo } from './memo';
import { Prose } from './prose';
import { ReplyParts } from './reply-parts';
import { timeOf } from './times';

interface MessageItemProps {
  readonly message: Message;
  readonly talker: Talker;
  /** The day, if this is its first message. */
  readonly day: string | undefined;
  readonly onInspect: (jobId?: string) => void;
}

/** A message of the history. Its text never changes; `in_context` may. */
export const MessageItem = memo(
  function MessageItem({ message, talker, day, onInspect }: MessageItemProps): JSX.Element {
    const { id, role, content, parts, created_at: createdAt, job_id: jobId, in_context: inContext } = message;
    const isUsers = role === 'user';
    const ending = endingOf(message);
    return (
      <li id={`m-${id}`} class={`message ${role}`}>
        {day !== undefined && <div class="day">{day}</div>}
        <div class="bubble-row">
          {!isUsers && <Avatar of={talker} size="small" />}
          <div class="bubble">
            <span class="unseen">{isUsers ? 'You:' : `${talker.name}:`}</span>
            {parts !== undefined ? (
              <ReplyParts jobId={jobId} parts={parts} />
            ) : (
              (ending === undefined || content.trim() !== '') &&
              (isUsers ? <Prose text={content} /> : <Markdown text={content} />)
            )}
            {ending !== undefined && (
              <p class="ending">
                <span class="chip incomplete">{ending.label}</span> {ending.sentence}
                {ending.quote !== undefined && (
                  <>
                    {' '}
                    <q dir="auto">{ending.quote}</q>
                  </>
                )}
              </p>
            )}
          </div>
        </div>
        <div class="under">
          <time dateTime={createdAt}>{timeOf(createdAt)}</time>
          {jobId !== null && (
            <button class="link" type="button" onClick={() => onInspect(jobId)}>
              Details
            </button>
          )}
          {inContext === false && (
            <span class="left-out" title="The model does not take this turn, so it gets later messages without it.">
              not sent to the model any more
            </span>
          )}
        </div>
      </li>
    );
  },
  ['onInspect'],
);
