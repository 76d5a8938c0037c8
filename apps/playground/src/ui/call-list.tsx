import type { ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { needsPerson } from '../state/call-words';
import type { Exchange } from '../state/exchange';
import type { LiveCall } from '../state/live-calls';
import { AskingCard } from './asking-card';
import { CallRow } from './call-row';

/** Tool calls of the history. */
export function CallList({ calls }: { readonly calls: readonly ToolCall[] }): JSX.Element {
  return (
    <ul class="calls" aria-label="Tool calls">
      {calls.map((call) => (
        <li key={call.id}>
          <CallRow call={call} />
        </li>
      ))}
    </ul>
  );
}

interface LiveCallListProps {
  readonly exchange: Exchange;
  readonly jobId: string;
  readonly calls: readonly LiveCall[];
}

/** Tool calls of the turn under way. Those that wait for the user are open. */
export function LiveCallList({ exchange, jobId, calls }: LiveCallListProps): JSX.Element {
  return (
    <ul class="calls" aria-label="Tool calls">
      {calls.map(({ call, isSettled }) => (
        <li key={call.id}>
          {needsPerson(call) && !isSettled ? (
            <AskingCard key={call.status} exchange={exchange} jobId={jobId} call={call} />
          ) : (
            <CallRow call={call} isSettled={isSettled} />
          )}
        </li>
      ))}
    </ul>
  );
}
