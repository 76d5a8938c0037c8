import type { JSX } from 'preact';
import { needsPerson, stateOf } from '../state/call-words';
import type { Conversation } from '../state/conversation';
import type { LiveCall } from '../state/live-calls';
import { useStore } from '../state/store';
import type { Talker } from '../state/talker';
import type { Turn } from '../state/turn';
import { Avatar } from './avatar';
import { LiveCallList } from './call-list';
import { Markdown, WritingMarkdown } from './markdown';

interface LiveReplyProps {
  readonly conversation: Conversation;
  readonly turn: Turn;
  readonly talker: Talker;
}

/** A text, and the tool calls that follow it. */
interface Section {
  readonly text: string;
  readonly calls: readonly LiveCall[];
}

/** The reply that is being written. Only this component is drawn with each piece. */
export function LiveReply({ conversation: { exchange }, turn, talker }: LiveReplyProps): JSX.Element {
  const text = useStore(exchange.live.shown);
  const calls = useStore(exchange.calls.shown);
  const isAsking = calls.some(({ call, isSettled }) => needsPerson(call) && !isSettled);
  const sections = sectionsOf(text, calls);
  const last = sections.length - 1;
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
            {sections.map((section, n) => (
              <SectionItem
                key={n}
                section={section}
                isLast={n === last}
                waits={n === last && !isAsking}
                exchange={exchange}
                turn={turn}
              />
            ))}
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

interface SectionItemProps {
  readonly section: Section;
  readonly isLast: boolean;
  /** The page shows that more is to come. */
  readonly waits: boolean;
  readonly exchange: Conversation['exchange'];
  readonly turn: Turn;
}

function SectionItem({ section: { text, calls }, isLast, waits, exchange, turn }: SectionItemProps): JSX.Element {
  const jobId = turn.job?.id ?? '';
  return (
    <>
      {text.trim() !== '' && (
        <div class="live-text" aria-hidden="true">
          {isLast && calls.length === 0 ? <WritingMarkdown text={text} /> : <Markdown text={text} />}
        </div>
      )}
      {calls.length > 0 && <LiveCallList exchange={exchange} jobId={jobId} calls={calls} />}
      {waits && (text === '' || calls.length > 0) && <Thinking turn={turn} calls={calls} />}
    </>
  );
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

/** Divides the text where calls stand in it. The calls of one place are one list, after their text. */
function sectionsOf(text: string, calls: readonly LiveCall[]): Section[] {
  const places = [...new Set(calls.map(({ at }) => at))].sort((one, other) => one - other);
  const sections = places.map((at, n) => ({
    text: text.slice(places[n - 1] ?? 0, at),
    calls: calls.filter((call) => call.at === at),
  }));
  const rest = text.slice(places.at(-1) ?? 0);
  return rest.trim() !== '' || sections.length === 0 ? [...sections, { text: rest, calls: [] }] : sections;
}
