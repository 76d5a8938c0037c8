import type { JSX } from 'preact';
import type { Problem } from '../state/problem';
import { Copy } from './copy';
import { Icon } from './icons';

interface ProblemTextProps {
  readonly problem: Problem | undefined;
  readonly onDismiss?: () => void;
}

/** A problem: a sentence for readers, then the ids for developers. */
export function ProblemText({ problem, onDismiss }: ProblemTextProps): JSX.Element | null {
  if (problem === undefined) return null;
  const { message, code, requestId, details = [] } = problem;
  return (
    <div class="notice" role="alert">
      <Icon name="alert" />
      <div class="notice-text">
        <p>{message}</p>
        {details.length > 0 && (
          <ul>
            {details.map((detail, n) => (
              <li key={n}>
                <code>{detail.field}</code> {detail.message}
              </li>
            ))}
          </ul>
        )}
        {code !== undefined && (
          <p class="notice-ids">
            <code>{code}</code>
            {requestId !== undefined && (
              <>
                {' · '}request <code>{requestId.slice(0, 8)}…</code>
                <Copy text={requestId} label="Copy the request id" />
              </>
            )}
          </p>
        )}
      </div>
      {onDismiss && (
        <button class="icon-button small" type="button" aria-label="Dismiss" onClick={onDismiss}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
