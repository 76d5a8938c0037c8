import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { visibleLine } from '../state/plain-text';

/** A source of a text, as the model's provider cites it. */
export interface Source {
  readonly url: string;
  readonly title: string | null;
}

/** How many sources are shown at first. */
const FEW = 6;

/** The sources of a text: links to the web, each with its host, since a title may say anything. Any other address stays text. */
export function Sources({ sources }: { readonly sources: readonly Source[] }): JSX.Element {
  const [showsAll, setShowsAll] = useState(false);
  const each = [...new Map(sources.map((source) => [source.url, source])).values()];
  const shown = showsAll ? each : each.slice(0, FEW);
  return (
    <div class="sources">
      <ul aria-label="Sources">
        {shown.map(({ url, title }) => (
          <li key={url}>
            <SourceLink url={url} title={title} />
          </li>
        ))}
      </ul>
      {each.length > shown.length && (
        <button class="link" type="button" onClick={() => setShowsAll(true)}>
          {each.length - shown.length} more
        </button>
      )}
    </div>
  );
}

function SourceLink({ url, title }: Source): JSX.Element {
  const address = webAddress(url);
  const name = <bdi>{visibleLine(title ?? address?.host ?? url)}</bdi>;
  if (address === undefined) return name;
  return (
    <a href={address.href} title={address.href} target="_blank" rel="noopener noreferrer nofollow">
      {name}
      {title !== null && title !== address.host && (
        <>
          {' '}
          <bdi class="host">{address.host}</bdi>
        </>
      )}
    </a>
  );
}

function webAddress(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url : undefined;
}
