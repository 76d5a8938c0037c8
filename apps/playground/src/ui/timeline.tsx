import { isFinal, type Job } from '@rejoinder/client';
import type { JSX } from 'preact';
import { stateName } from '../state/problem';
import { exactTimeOf, span } from './times';
import { useNow } from './use-now';

/** Each tick draws the page anew. Ten in a second cost as much as all animations together. */
const TICK_MS = 250;

/** The states of a job so far, and how long each took. */
export function Timeline({ job, isLive }: { readonly job: Job; readonly isLive: boolean }): JSX.Element {
  const ended = isFinal(job);
  const now = useNow(TICK_MS, isLive && !ended);
  const created = Date.parse(job.created_at);
  const started = job.started_at === null ? undefined : Date.parse(job.started_at);
  const finished = job.finished_at === null ? undefined : Date.parse(job.finished_at);
  const waitsSince = job.required_action === undefined ? undefined : Date.parse(job.required_action.since);
  const since = (from: number, to: number | undefined): string => span(Math.max(0, (to ?? now) - from));
  return (
    <ol class="timeline" aria-label="States of the job">
      <li class={job.status === 'queued' ? 'now' : 'done'}>
        <span>{stateName('queued')}</span>
        <span>{since(created, started ?? finished)}</span>
      </li>
      {(started !== undefined || !ended) && (
        <li class={job.status === 'running' ? 'now' : started === undefined ? 'later' : 'done'}>
          <span>{stateName('running')}</span>
          <span>{started === undefined ? '' : since(started, finished ?? waitsSince)}</span>
        </li>
      )}
      {waitsSince !== undefined && (
        <li class="now">
          <span>{stateName('requires_action')}</span>
          <span>{since(waitsSince, undefined)}</span>
        </li>
      )}
      <li class={ended ? job.status : 'later'}>
        <span>{stateName(ended ? job.status : 'succeeded')}</span>
        <span>{job.finished_at === null ? '' : exactTimeOf(job.finished_at)}</span>
      </li>
    </ol>
  );
}
