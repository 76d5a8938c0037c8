import { Component, type ComponentChildren, type FunctionComponent } from 'preact';

/** A component that is drawn anew only when one of its properties changes, except those in `callbacks`. */
export function memo<P extends object>(
  Drawn: FunctionComponent<P>,
  callbacks: readonly (keyof P)[] = [],
): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const names = new Set([...Object.keys(next), ...Object.keys(this.props)]) as Set<keyof P>;
      return [...names].some((name) => next[name] !== (this.props as P)[name] && !callbacks.includes(name));
    }

    override render(): ComponentChildren {
      return <Drawn {...this.props} />;
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
