import type { Job } from '@rejoinder/client';
import type { JSX } from 'preact';
import { needsPerson } from '../state/call-words';
import type { Exchange } from '../state/exchange';
import { visibleLine } from '../state/plain-text';
import { useStore } from '../state/store';
import { ASKING } from './asking-focus';
import { momentOf } from './times';

/** Says under the composer what the turn under way waits for: the reply, or the user, and until when. */
export function WaitingHint({
  exchange,
  job,
}: {
  readonly exchange: Exchange;
  readonly job: Job | undefined;
}): JSX.Element {
  const waiting = useStore(exchange.reply.calls.shown).filter(({ call, isSettled }) => needsPerson(call) && !isSettled);
  const [first, ...others] = waiting;
  if (first === undefined) return <>A reply is on its way. You can send again once it is there.</>;
  const { call } = first;
  const { since = call.created_at, expires_at: until } = job?.required_action ?? {};
  const name = <bdi>{visibleLine(call.name, 40)}</bdi>;
  return (
    <>
      Waiting since {momentOf(since)} for{' '}
      {others.length > 0 ? (
        <>
          you: {name} and {others.length} more
        </>
      ) : call.status === 'awaiting_approval' ? (
        <>your approval of {name}</>
      ) : (
        <>your answer to {name}</>
      )}
      {until !== undefined && `, at most until ${momentOf(until)}`}.{' '}
      <button class="link" type="button" onClick={() => document.querySelector<HTMLElement>(`[${ASKING}]`)?.focus()}>
        Show
      </button>
    </>
  );
}
