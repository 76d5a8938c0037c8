import type { ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { Said } from '../state/decisions';
import type { Exchange } from '../state/exchange';
import { visibleLine } from '../state/plain-text';
import type { Problem } from '../state/problem';
import { fieldsOf } from '../state/result-fields';
import { useStore } from '../state/store';
import { ASKING, useAskingFocus } from './asking-focus';
import { CallInput } from './call-row';
import { Icon } from './icons';
import { ProblemText } from './problem-text';
import { ResultForm } from './result-form';
import { useMedia } from './use-media';
import { WordsForm } from './words-form';

interface AskingCardProps {
  readonly exchange: Exchange;
  readonly jobId: string;
  readonly call: ToolCall;
}

/** A call that waits for the user: to approve or deny it, or to give its result. */
export function AskingCard({ exchange, jobId, call }: AskingCardProps): JSX.Element {
  const card = useRef<HTMLElement>(null);
  const { id, status } = call;
  const isApproval = status === 'awaiting_approval';
  useAskingFocus(card, `call-${id}`, useMedia('(pointer: coarse)'));
  const { isSending = false, problem } = useStore(exchange.calls.decisions.said).get(id) ?? {};
  const say = (said: Said): void => void exchange.calls.decisions.say(jobId, id, said);
  const form = { call, isSending, problem, say };
  return (
    <section ref={card} class="asking" tabIndex={-1} aria-labelledby={`asking-${id}`} {...{ [ASKING]: id }}>
      <h3 id={`asking-${id}`}>
        <span class="call-icon">
          <Icon name="hand" />
        </span>
        <span>
          <bdi class="call-name">{visibleLine(call.name)}</bdi> needs your {isApproval ? 'approval' : 'answer'}
        </span>
      </h3>
      {(isApproval || Object.keys(call.input).length > 0) && <CallInput call={call} />}
      {isApproval ? <Approval {...form} /> : <Answer {...form} />}
    </section>
  );
}

interface FormProps {
  readonly call: ToolCall;
  readonly isSending: boolean;
  readonly problem: Problem | undefined;
  readonly say: (said: Said) => void;
}

function Approval({ isSending, problem, say }: FormProps): JSX.Element {
  const [denies, setDenies] = useState(false);
  if (denies) {
    return (
      <WordsForm
        label="Reason, if you like. The model reads it."
        isRequired={false}
        action="Deny the call"
        isSending={isSending}
        problem={problem}
        onSend={(reason) => say({ kind: 'deny', reason })}
        onBack={() => setDenies(false)}
      />
    );
  }
  return (
    <>
      <ProblemText problem={problem} />
      <div class="choices">
        <button class="button" type="button" aria-disabled={isSending} onClick={() => say({ kind: 'approve' })}>
          <Icon name="check" /> {isSending ? 'Approving…' : 'Approve'}
        </button>
        <button
          class="button quiet"
          type="button"
          aria-disabled={isSending}
          onClick={() => isSending || setDenies(true)}
        >
          <Icon name="no" /> Deny…
        </button>
      </div>
    </>
  );
}

function Answer({ call, isSending, problem, say }: FormProps): JSX.Element {
  const [fails, setFails] = useState(false);
  const [fields] = useState(() => fieldsOf(call.result_schema));
  if (fails) {
    return (
      <WordsForm
        label="Why there is no result. The model reads it."
        isRequired
        action="Send as an error"
        isSending={isSending}
        problem={problem}
        onSend={(content = '') => say({ kind: 'result', content, isError: true })}
        onBack={() => setFails(false)}
      />
    );
  }
  return (
    <ResultForm
      fields={fields}
      hasSchema={call.result_schema !== undefined}
      isSending={isSending}
      problem={problem}
      onSend={(content) => say({ kind: 'result', content, isError: false })}
      onFail={() => setFails(true)}
    />
  );
}
