import { type Job, type Message, type Rejoinder, type ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Conversation } from '../state/conversation';
import { mode } from '../state/preferences';
import type { Problem } from '../state/problem';
import { useStore } from '../state/store';
import { isUnderWay } from '../state/turn';
import { Copy } from './copy';
import { Icon } from './icons';
import { ProblemText } from './problem-text';
import { Segmented } from './segmented';
import { momentOf, span } from './times';
import { Timeline } from './timeline';

interface InspectorProps {
  readonly client: Rejoinder;
  readonly conversation: Conversation;
  /** The job to show (default: that of the newest turn). */
  readonly jobId: string | undefined;
  readonly onLatest: () => void;
  readonly onClose: () => void;
}

/** Shows the job behind a reply, its states, times and ids; and lets the user choose how the page watches replies. */
export function Inspector({ client, conversation, jobId, onLatest, onClose }: InspectorProps): JSX.Element {
  const view = useStore(conversation.view);
  const watching = useStore(mode);
  const { turn, messages, chat } = view;
  const newest = turn?.job?.id ?? messages.findLast(({ job_id: id }) => id !== null)?.job_id ?? undefined;
  const shown = jobId ?? newest;
  const live = turn?.job?.id === shown ? turn : undefined;
  const read = useJob(client, live === undefined ? shown : undefined);
  const job = live?.job ?? read;

  return (
    <aside class="inspector" aria-label="Inspector">
      <div class="card-head">
        <h2>Inspector</h2>
        <button class="icon-button" type="button" aria-label="Close the inspector" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div class="inspector-scroll">
        <Segmented
          label="Watch replies by"
          store={mode}
          options={[
            ['stream', 'Streaming'],
            ['poll', 'Polling'],
          ]}
        />
        <p class="snippet">
          <code>
            {watching === 'stream' ? 'client.streamTurn(chatId, text)' : 'client.startTurn(…) → client.pollJob(id)'}
          </code>
        </p>

        <div class="part-head">
          <h3>{jobId !== undefined && jobId !== newest ? 'Selected turn' : 'Latest turn'}</h3>
          {jobId !== undefined && jobId !== newest && (
            <button class="link" type="button" onClick={onLatest}>
              Show the latest
            </button>
          )}
        </div>
        {job === undefined ? (
          <p class="inspector-empty">
            {shown === undefined ? 'Send a message, and its job shows up here.' : 'Reading the job…'}
          </p>
        ) : (
          <JobFacts job={job} conversation={conversation} problem={live?.problem} isLive={isUnderWay(live)} />
        )}

        <h3>Chat</h3>
        <dl class="facts">
          <Id name="Chat" id={conversation.chatId} />
          {chat !== undefined && <Fact name="Messages" value={String(messages.at(-1)?.seq ?? 0)} />}
        </dl>
        <p class="inspector-links">
          <a href="docs" target="_blank" rel="noreferrer">
            Swagger UI <Icon name="external" />
          </a>
          <a href="openapi.yaml" target="_blank" rel="noreferrer">
            Contract <Icon name="external" />
          </a>
        </p>
      </div>
    </aside>
  );
}

function JobFacts({
  job,
  conversation,
  problem,
  isLive,
}: {
  readonly job: Job;
  readonly conversation: Conversation;
  readonly problem: Problem | undefined;
  readonly isLive: boolean;
}): JSX.Element {
  const measured = useStore(conversation.exchange.measured).get(job.id);
  const liveCalls = useStore(conversation.exchange.reply.calls.shown);
  const reply = job.assistant_message;
  const calls = isLive && reply === null ? liveCalls.map(({ call }) => call) : callsOf(reply);
  const error = problem ?? (job.error && { message: job.error.message, code: job.error.code });
  return (
    <>
      <Timeline job={job} isLive={isLive} />
      {error && <ProblemText problem={error} />}
      <dl class="facts">
        <Fact name="Attempts" value={String(job.attempts)} />
        {job.step !== undefined && <Fact name="Steps" value={String(job.step)} />}
        {calls.length > 0 && <Fact name="Tool calls" value={countOf(calls)} />}
        {job.required_action && <Fact name="Waits until" value={momentOf(job.required_action.expires_at)} />}
        {measured !== undefined && <Fact name="First piece" value={span(measured.firstPieceMs)} />}
        {job.finished_at !== null && (
          <Fact name="Duration" value={span(Date.parse(job.finished_at) - Date.parse(job.created_at))} />
        )}
        {reply?.usage && <Fact name="Tokens" value={tokensOf(reply.usage)} />}
        {reply?.model !== undefined && <Fact name="Model" value={reply.model} />}
        {reply?.stop_reason !== undefined && <Fact name="Stop reason" value={reply.stop_reason} />}
        <Id name="Job" id={job.id} />
        <Id name="Question" id={job.user_message_id} />
        {reply && <Id name="Reply" id={reply.id} />}
      </dl>
    </>
  );
}

function callsOf(reply: Message | null): readonly ToolCall[] {
  return reply?.parts?.flatMap((part) => (part.type === 'tool_call' ? [part.tool_call] : [])) ?? [];
}

/** How many calls there are, and how many of them have not ended. */
function countOf(calls: readonly ToolCall[]): string {
  const open = calls.filter(({ ended_at: endedAt }) => endedAt === null).length;
  return open === 0 ? String(calls.length) : `${calls.length}, ${open} open`;
}

/** Tokens in and out; "~" marks a count that is partly estimated. */
function tokensOf({ input_tokens: input, output_tokens: output, estimated }: NonNullable<Message['usage']>): string {
  const about = estimated === true ? '~' : '';
  return `${about}${input} in · ${about}${output} out`;
}

function Fact({ name, value }: { readonly name: string; readonly value: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Id({ name, id }: { readonly name: string; readonly id: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="id">
        <code title={id}>{id}</code>
        <Copy text={id} label={`Copy the id: ${name}`} />
      </dd>
    </div>
  );
}

/** An earlier job. It is read once, when it is final or waits for a person. */
function useJob(client: Rejoinder, jobId: string | undefined): Job | undefined {
  const [job, setJob] = useState<Job>();
  useEffect(() => {
    if (jobId === undefined) return;
    const left = new AbortController();
    client
      .waitForJob(jobId, { signal: left.signal })
      .then(setJob)
      .catch(() => undefined);
    return () => left.abort();
  }, [client, jobId]);
  return job?.id === jobId ? job : undefined;
}
