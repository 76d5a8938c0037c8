import { ConnectionError, isFinal, type JobEvent, type Rejoinder, TurnError } from '@rejoinder/client';
import { mode } from './preferences';
import { reach } from './service';
import { followed, isUnderWay, type Turn, type Watched } from './turn';

/** Begins to follow a turn. */
export type Begin = (watched: Watched) => AsyncIterable<JobEvent>;

/** Pause before a turn that waits for a person is watched again, if watching it has ended, in milliseconds. */
const WATCH_AGAIN_MS = 2_000;

/** The part of the exchange that watching uses. */
export interface WatchingSetting {
  readonly client: Rejoinder;
  readonly chatId: string;
  /** Aborts when nobody looks at the chat any more. */
  readonly signal: AbortSignal;
  readonly turn: () => Turn | undefined;
  /** The events of the turn under way come once more. */
  readonly onAgain: (turn: Turn) => void;
  readonly onEvent: (event: JobEvent) => Promise<void>;
  readonly onEnd: () => void;
  readonly onFailure: (error: unknown) => void;
}

/** Follows the turn under way: by a stream or a poll, as long as the page is seen. */
export class Watching {
  private following = new AbortController();
  /** How the turn was begun, so that it can be watched anew. */
  private begin: Begin | undefined;

  constructor(private readonly setting: WatchingSetting) {
    const { signal } = setting;
    const unsubscribe = [
      mode.subscribe(() => this.again()),
      // The client would try again after its pause. The page has just seen the service answer, so it tries now.
      reach.subscribe(() => reach.get() === 'there' && this.again()),
    ];
    document.addEventListener('visibilitychange', () => this.seen(), { signal });
    signal.addEventListener('abort', () => {
      unsubscribe.forEach((one) => one());
      this.leave();
    });
  }

  /** Watches a turn from now on, and no other. */
  start(begin: Begin): void {
    void this.watch(begin);
  }

  /** Watches the same turn again: in the other way, or now rather than after a pause. */
  again(): void {
    const turn = this.setting.turn();
    if (!isUnderWay(turn) || this.begin === undefined) return;
    const id = turn.job?.id;
    this.setting.onAgain(turn);
    void this.watch(id === undefined ? this.begin : (watched) => followed(watched, id));
  }

  /** Follows nothing any more. The turn goes on. */
  leave(): void {
    this.following.abort();
  }

  /**
   * A hidden page lets go of a turn that the service has, until it is seen again. Each followed turn holds a connection, and a browser has
   * six for all tabs together.
   */
  private seen(): void {
    if (document.visibilityState !== 'visible') {
      if (this.setting.turn()?.job !== undefined) this.leave();
    } else if (this.following.signal.aborted) this.again();
  }

  private async watch(begin: Begin): Promise<void> {
    const { client, chatId, turn, onEvent, onEnd, onFailure } = this.setting;
    this.leave();
    const { signal } = (this.following = new AbortController());
    this.begin = begin;
    try {
      for await (const event of begin({ client, chatId, mode: mode.get(), signal })) {
        if (signal.aborted) return;
        await onEvent(event);
        if (document.visibilityState !== 'visible') this.seen();
      }
      if (signal.aborted) return;
      const job = turn()?.job;
      if (job === undefined || isFinal(job)) onEnd();
      else this.later(signal);
    } catch (error) {
      if (signal.aborted) return;
      const isPatient = error instanceof ConnectionError && reach.get() === 'there';
      // A stream in which nothing happens is given up after two hours. A person may take longer.
      if (isPatient && turn()?.job?.status === 'requires_action') return this.later(signal);
      // The job is known already, and says why.
      if (error instanceof TurnError) onEnd();
      else onFailure(error);
    }
  }

  private later(signal: AbortSignal): void {
    setTimeout(() => signal.aborted || this.again(), WATCH_AGAIN_MS);
  }
}
