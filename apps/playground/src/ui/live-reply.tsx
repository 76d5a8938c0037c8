import type { JSX } from 'preact';
import { needsPerson, stateOf } from '../state/call-words';
import type { Conversation } from '../state/conversation';
import type { LiveCall } from '../state/live-calls';
import { type LivePart, livePartsOf } from '../state/live-parts';
import { useStore } from '../state/store';
import type { Talker } from '../state/talker';
import type { Turn } from '../state/turn';
import { Avatar } from './avatar';
import { LiveCallList } from './call-list';
import { Markdown, WritingMarkdown } from './markdown';
import { partKey } from './part-key';
import { Sources } from './sources';
import { Thoughts } from './thoughts';

interface LiveReplyProps {
  readonly conversation: Conversation;
  readonly turn: Turn;
  readonly talker: Talker;
}

/** The reply that is being written. Only this component is drawn with each piece. */
export function LiveReply({ conversation: { exchange }, turn, talker }: LiveReplyProps): JSX.Element {
  const { reply } = exchange;
  const text = useStore(reply.text.shown);
  const calls = useStore(reply.calls.shown);
  const asides = useStore(reply.asides.shown);
  const isAsking = calls.some(({ call, isSettled }) => needsPerson(call) && !isSettled);
  const parts = livePartsOf(text, calls, asides);
  // Sources may stand behind a text that goes on.
  const writing = parts.findLastIndex(({ kind }) => kind !== 'sources');
  const shows = parts[writing]?.kind;
  return (
    // Some screen readers pass over what is busy, and a question must be heard.
    <li class="message assistant live" aria-busy={!isAsking}>
      <div class="bubble-row">
        <Avatar of={talker} size="small" />
        <div class="bubble">
          <span class="unseen">
            {talker.name} {isAsking ? 'is waiting for you' : 'is writing'}.
          </span>
          <div class="parts">
            {parts.map((part, n) => (
              <PartItem
                key={partKey(parts, n)}
                name={partKey(parts, n)}
                part={part}
                isWriting={n === writing}
                exchange={exchange}
                turn={turn}
              />
            ))}
            {!isAsking && shows !== 'text' && shows !== 'thoughts' && <Thinking turn={turn} calls={calls} />}
          </div>
        </div>
      </div>
      <div class="under">
        {turn.stopping
          ? 'Stopping…'
          : turn.startedOver !== undefined
            ? `Started over: attempt ${turn.startedOver}`
            : ''}
        &nbsp;
      </div>
    </li>
  );
}

interface PartItemProps {
  /** Its name among the parts of the reply. */
  readonly name: string;
  readonly part: LivePart;
  /** More of this part may come. */
  readonly isWriting: boolean;
  readonly exchange: Conversation['exchange'];
  readonly turn: Turn;
}

function PartItem({ name, part, isWriting, exchange, turn }: PartItemProps): JSX.Element {
  const jobId = turn.job?.id ?? '';
  switch (part.kind) {
    case 'thoughts':
      return <Thoughts id={`${jobId} ${name}`} text={part.text} isLive={isWriting} />;
    case 'text':
      return (
        <div class="live-text" aria-hidden="true">
          {isWriting ? <WritingMarkdown text={part.text} /> : <Markdown text={part.text} />}
        </div>
      );
    case 'sources':
      return <Sources sources={part.sources} />;
    case 'calls':
      return <LiveCallList exchange={exchange} jobId={jobId} calls={part.calls} />;
  }
}

function Thinking({ turn, calls }: { readonly turn: Turn; readonly calls: readonly LiveCall[] }): JSX.Element {
  const isWorking = calls.some(({ call }) => stateOf(call).tone === 'working');
  const isQueued = turn.job?.status === 'queued';
  return (
    <span class="thinking" aria-hidden="true">
      <i />
      <i />
      <i />
      <span>
        {isWorking
          ? 'Using tools'
          : isQueued
            ? 'Queued'
            : turn.mode === 'poll'
              ? 'Writing; polling shows it whole'
              : 'Thinking'}
      </span>
    </span>
  );
}
