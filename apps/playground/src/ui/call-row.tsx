import type { ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { beganAt, type CallTone, stateOf } from '../state/call-words';
import { jsonOf, prettyText, visible, visibleLine } from '../state/plain-text';
import { CallData } from './call-data';
import { Icon, type IconName } from './icons';
import { exactTimeOf, span } from './times';
import { useNow } from './use-now';

const ICONS: Readonly<Record<CallTone, IconName>> = {
  waiting: 'hand',
  working: 'clock',
  done: 'check',
  failed: 'alert',
  denied: 'no',
  ended: 'minus',
};

/** The rows that the reader has unfolded, by call. They stay so when the reply moves into the history. */
const unfolded = new Set<string>();

interface CallRowProps {
  readonly call: ToolCall;
  /** Somebody decided it, and how is not known yet. */
  readonly isSettled?: boolean;
}

/** A tool call on one line: its name, its state, how long it took. It unfolds to what went in and what came out. */
export function CallRow({ call, isSettled = false }: CallRowProps): JSX.Element {
  const [isOpen, setOpen] = useState(() => unfolded.has(call.id));
  const { tone, words } = isSettled ? ({ tone: 'working', words: 'Decided' } as const) : stateOf(call);
  return (
    <details
      class={`call ${tone}`}
      open={isOpen}
      onToggle={({ currentTarget: { open } }) => {
        setOpen(open);
        if (open) unfolded.add(call.id);
        else unfolded.delete(call.id);
      }}
    >
      <summary id={`call-${call.id}`}>
        <span class="call-icon">
          <Icon name={ICONS[tone]} />
        </span>
        <span class="unseen">Tool call: </span>
        <bdi class="call-name">{visibleLine(call.name)}</bdi>
        <span class="call-state">{words}</span>
        <Duration call={call} />
        <span class="call-chevron">
          <Icon name="chevron" />
        </span>
      </summary>
      {/* Only an open row costs something. */}
      {isOpen && <CallBody call={call} />}
    </details>
  );
}

/** How long the tool worked, or has been working. */
function Duration({ call }: { readonly call: ToolCall }): JSX.Element | null {
  const began = beganAt(call);
  const isRunning = call.status === 'running';
  const now = useNow(1_000, isRunning);
  if (began === undefined || (call.ended_at === null && !isRunning)) return null;
  const ms = Math.max(0, (call.ended_at === null ? now : Date.parse(call.ended_at)) - began);
  const text = isRunning ? `${Math.floor(ms / 1_000)} s` : span(ms);
  return (
    <span class="call-time" dir="ltr">
      {text}
    </span>
  );
}

function CallBody({ call }: { readonly call: ToolCall }): JSX.Element {
  const { result, is_error: isError, reason, status, decided_at: decidedAt, ended_at: endedAt } = call;
  const output = useMemo(() => result && prettyText(result), [result]);
  return (
    <div class="call-body">
      {call.name.length > 80 && <CallData label="Name" text={call.name} isCode />}
      <CallInput call={call} />
      {status === 'denied' ? (
        <p class="call-fact">
          Denied{decidedAt !== null && ` at ${exactTimeOf(decidedAt)}`}
          {reason === null ? ', without a reason.' : ': '}
          {reason !== null && <q dir="auto">{visible(reason)}</q>}
        </p>
      ) : (
        decidedAt !== null && decidedAt !== endedAt && <p class="call-fact">Approved at {exactTimeOf(decidedAt)}.</p>
      )}
      {status !== 'denied' && output !== null && (
        <CallData
          label={isError ? 'Error' : 'Result'}
          text={output === '' ? '(empty)' : output}
          isCode={output !== result}
        />
      )}
    </div>
  );
}

/** What the model gives the tool. */
export function CallInput({ call: { input } }: { readonly call: ToolCall }): JSX.Element {
  const text = useMemo(() => jsonOf(input), [input]);
  return text === '{}' ? <p class="call-fact">No input.</p> : <CallData label="Input" text={text} isCode />;
}
