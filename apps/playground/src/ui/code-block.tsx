import type { JSX } from 'preact';
import { Copy } from './copy';

/** Code with its language and a button that copies it. */
export function CodeBlock({ text, info }: { readonly text: string; readonly info: string }): JSX.Element {
  const [language = ''] = /^[\w+#.-]{1,30}/.exec(info.trim()) ?? [];
  return (
    <figure class="code" dir="ltr">
      <figcaption>
        <span>{language}</span>
        <Copy text={text} label="Copy the code" />
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
