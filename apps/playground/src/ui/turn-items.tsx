import type { JSX } from 'preact';
import type { Conversation } from '../state/conversation';
import { isUnderWay, type Turn } from '../state/turn';
import type { View } from '../state/view';
import type { Talker } from '../state/talker';
import { failureOf } from '../state/words';
import { Icon } from './icons';
import { LiveReply } from './live-reply';
import { Prose } from './prose';

interface TurnItemsProps {
  readonly conversation: Conversation;
  readonly view: View;
  readonly talker: Talker;
  readonly onInspect: (jobId?: string) => void;
}

/** The items that are not in the history yet: the message on its way, and the reply that is being written, or why there is none. */
export function TurnItems({ conversation, view, talker, onInspect }: TurnItemsProps): JSX.Element | null {
  const { turn, messages, chat, phase } = view;
  if (phase !== 'ready') return null;
  const newest = messages.at(-1);
  const asked = turn?.job?.user_message_id;
  const isReplied = turn?.job !== undefined && messages.some((message) => message.job_id === turn.job?.id);
  const isPending = isUnderWay(turn) && turn.text !== undefined && !messages.some(({ id }) => id === asked);
  const cameToNothing = turn !== undefined && turn.ended && !isReplied && newest?.id === asked;
  const isUnanswered = newest?.role === 'user' && turn?.job === undefined && !isPending && chat?.status === 'active';

  return (
    <>
      {isPending && (
        <li class="message user pending" key="pending">
          <div class="bubble-row">
            <div class="bubble">
              <span class="unseen">You:</span>
              <Prose text={turn.text ?? ''} />
            </div>
          </div>
          <div class="under">{turn.job !== undefined ? '' : turn.stopping ? 'Stopping…' : 'Sending…'}&nbsp;</div>
        </li>
      )}
      {isUnderWay(turn) && turn.job !== undefined && !isReplied && (
        <LiveReply key="live" conversation={conversation} turn={turn} talker={talker} />
      )}
      {cameToNothing && (
        <NoReply
          key="none"
          turn={turn}
          canAsk={chat?.status === 'active'}
          conversation={conversation}
          onInspect={onInspect}
        />
      )}
      {isUnanswered && (
        <li class="message assistant" key="unanswered">
          <div class="no-reply">
            <p>Nobody has asked for a reply yet, or none came.</p>
            <button class="button small" type="button" onClick={() => void conversation.again()}>
              <Icon name="reopen" /> Ask for a reply
            </button>
          </div>
        </li>
      )}
    </>
  );
}

function NoReply({
  turn,
  canAsk,
  conversation,
  onInspect,
}: Pick<TurnItemsProps, 'conversation' | 'onInspect'> & {
  readonly turn: Turn;
  readonly canAsk: boolean;
}): JSX.Element {
  const isCanceled = turn.job?.status === 'canceled';
  const failure = turn.problem && failureOf(turn.problem);
  return (
    <li class="message assistant">
      <div class={isCanceled ? 'no-reply' : 'no-reply failed'}>
        {!isCanceled && <Icon name="alert" />}
        <div>
          <p>
            {isCanceled ? 'Stopped before the reply began.' : (failure?.sentence ?? 'No reply came.')}
            {!isCanceled && failure?.help !== undefined && <> {failure.help}</>}
          </p>
          <p class="notice-ids">
            {turn.problem?.code !== undefined && <code>{turn.problem.code}</code>}{' '}
            <button class="link" type="button" onClick={() => onInspect(turn.job?.id)}>
              Details
            </button>
          </p>
        </div>
        {canAsk && (
          <button class="button small" type="button" onClick={() => void conversation.again()}>
            <Icon name="reopen" /> Try again
          </button>
        )}
      </div>
    </li>
  );
}
