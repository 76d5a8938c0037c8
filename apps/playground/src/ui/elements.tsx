import type { Token } from 'markdown-it';
import type { ComponentChild, JSX } from 'preact';
import { CodeBlock } from './code-block';

/** The elements for tokens of Markdown. Another token is left out, but its content stays. */
const DRAWN = {
  paragraph: 'p',
  blockquote: 'blockquote',
  bullet_list: 'ul',
  list_item: 'li',
  thead: 'thead',
  tbody: 'tbody',
  tr: 'tr',
  strong: 'strong',
  em: 'em',
  s: 's',
} as const;

/** The chat's title is the page's first heading, so headings of a reply begin one level below. */
const HEADINGS = { h1: 'h2', h2: 'h3', h3: 'h4', h4: 'h5', h5: 'h6', h6: 'h6' } as const;

/** The schemes to which a link of a reply may lead. */
const SCHEMES: readonly string[] = ['http:', 'https:', 'mailto:'];

/** Draws tokens of Markdown. Text goes to the page as text, never as HTML. */
export function elementsOf(tokens: readonly Token[]): ComponentChild[] {
  const drawn: ComponentChild[] = [];
  for (let n = 0; n < tokens.length; n++) {
    const token = tokens[n] as Token;
    if (token.nesting !== 1) drawn.push(leafOf(token));
    else {
      const end = closingOf(tokens, n);
      drawn.push(containerOf(token, elementsOf(tokens.slice(n + 1, end))));
      n = end;
    }
  }
  return drawn;
}

const attribute = (token: Token, name: string): string | undefined => token.attrGet(name)?.toString();

function closingOf(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let n = open; n < tokens.length; n++) if ((depth += tokens[n]?.nesting ?? 0) === 0) return n;
  return tokens.length;
}

function leafOf(token: Token): ComponentChild {
  switch (token.type) {
    case 'inline':
      return elementsOf(token.children ?? []);
    case 'fence':
    case 'code_block':
      return <CodeBlock text={token.content.replace(/\n$/, '')} info={token.info} />;
    case 'code_inline':
      return <code dir="ltr">{token.content}</code>;
    case 'hr':
      return <hr />;
    case 'softbreak':
    case 'hardbreak':
      return <br />;
    case 'image':
      // Pictures are not fetched: the address would tell others what the model put into it.
      return <Link address={attribute(token, 'src')}>{token.content || 'image'}</Link>;
    default:
      return token.content;
  }
}

function containerOf(token: Token, inside: ComponentChild[]): ComponentChild {
  const name = token.type.replace(/_open$/, '');
  switch (name) {
    case 'heading': {
      const Heading = HEADINGS[token.tag as keyof typeof HEADINGS];
      return <Heading dir="auto">{inside}</Heading>;
    }
    case 'ordered_list':
      return <ol start={Number(token.attrGet('start') ?? 1)}>{inside}</ol>;
    case 'table':
      return (
        <div class="table" tabIndex={0} role="group" aria-label="Table">
          <table>{inside}</table>
        </div>
      );
    case 'th':
    case 'td': {
      const Cell = name;
      const [, side] = /text-align:(\w+)/.exec(attribute(token, 'style') ?? '') ?? [];
      return (
        <Cell class={side} dir="auto">
          {inside}
        </Cell>
      );
    }
    case 'link':
      return (
        <Link address={attribute(token, 'href')} title={attribute(token, 'title')}>
          {inside}
        </Link>
      );
    default: {
      if (!(name in DRAWN)) return inside;
      const Drawn = DRAWN[name as keyof typeof DRAWN];
      return <Drawn {...(Drawn === 'p' || Drawn === 'li' ? { dir: 'auto' } : {})}>{inside}</Drawn>;
    }
  }
}

/** A link opens its own page, which learns nothing about this one. A link with another scheme stays text. */
function Link({
  address,
  title,
  children,
}: {
  readonly address: string | undefined;
  readonly title?: string | undefined;
  readonly children: ComponentChild[] | string;
}): JSX.Element {
  const href = addressOf(address);
  if (href === undefined) return <>{children}</>;
  return (
    <a href={href} title={title ?? href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

function addressOf(address: string | undefined): string | undefined {
  try {
    const { protocol, href } = new URL(address ?? '');
    return SCHEMES.includes(protocol) ? href : undefined;
  } catch {
    return undefined;
  }
}
