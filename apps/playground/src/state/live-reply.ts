import type { SourcePart, ToolCall } from '@rejoinder/client';
import { LiveAsides, type Place } from './live-asides';
import { LiveCalls } from './live-calls';
import { LiveText } from './live-text';

/** The reply that is being written: its text, and what stands in it. */
export class LiveReply {
  readonly text = new LiveText();
  readonly calls = new LiveCalls();
  readonly asides = new LiveAsides();
  /** The calls that the present stream has brought. */
  private came = new Set<string>();

  /** Another stream begins. `goesOn`: it is the same reply, which stays until there is more of it. */
  begin(goesOn: boolean): void {
    this.came = new Set();
    this.text.begin(goesOn);
    this.asides.begin(goesOn);
  }

  think(text: string): void {
    this.asides.think(text, this.place());
  }

  cite(source: SourcePart): void {
    this.asides.cite(source, this.place());
  }

  /** Takes a call from the stream, which brings it where it belongs. @returns whether the call begins to wait for a person */
  takeStreamed(call: ToolCall): boolean {
    const isPlaced = this.came.has(call.id);
    this.came.add(call.id);
    return this.calls.take(call, isPlaced ? undefined : this.text.length);
  }

  /** Forgets the text and the thoughts of a lost attempt. */
  keep(offset: number, reasoningOffset: number): void {
    this.text.keep(offset);
    this.asides.keep(reasoningOffset);
  }

  /** Nothing is being written any more. */
  stop(): void {
    this.text.stop();
    this.asides.clear();
  }

  private place(): Place {
    return { at: this.text.length, calls: this.came.size };
  }
}
