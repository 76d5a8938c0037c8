import type { Message } from '@rejoinder/client';
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Conversation } from '../state/conversation';
import type { Talker } from '../state/talker';
import { isUnderWay } from '../state/turn';
import type { View } from '../state/view';
import { Icon } from './icons';
import { MessageItem } from './message-item';
import { dayOf } from './times';
import { TurnItems } from './turn-items';

interface HistoryProps {
  readonly conversation: Conversation;
  readonly view: View;
  readonly talker: Talker;
  readonly onInspect: (jobId?: string) => void;
}

/** A reader this close to the end, in pixels, stays at the end when text comes. */
const AT_THE_END_PX = 80;

/** Older messages are fetched when their place comes this close. */
const AHEAD = '600px 0px 0px 0px';

/** The messages in order. Older ones load as the reader scrolls up, and nothing moves. */
export function History({ conversation, view, talker, onInspect }: HistoryProps): JSX.Element {
  const { messages, phase, turn, notice } = view;
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const stays = useRef(true);
  /** Scroll position and sizes at the last look. */
  const last = useRef({ top: 0, height: 0, room: 0 });
  const [isAway, setIsAway] = useState(false);

  const remember = ({ scrollTop, scrollHeight, clientHeight }: HTMLElement): void => {
    last.current = { top: scrollTop, height: scrollHeight, room: clientHeight };
    setIsAway(!stays.current && scrollHeight > clientHeight);
  };
  const toTheEnd = (): void => {
    const element = scroller.current;
    if (element === null) return;
    stays.current = true;
    element.scrollTop = element.scrollHeight;
    remember(element);
  };
  const onScroll = (): void => {
    const element = scroller.current;
    if (element === null) return;
    const { top, height, room } = last.current;
    const wentUp = element.scrollTop < top - 1 && element.scrollHeight >= height && element.clientHeight === room;
    if (element.scrollHeight - element.scrollTop - element.clientHeight < AT_THE_END_PX) stays.current = true;
    // The end moved away from the reader; the reader has not left it.
    else if (wentUp) stays.current = false;
    remember(element);
  };

  // Before the next frame: a reader at the end stays there, however the text or the window grows.
  useLayoutEffect(() => {
    const keep = new ResizeObserver(() => stays.current && toTheEnd());
    if (scroller.current !== null) keep.observe(scroller.current);
    if (content.current !== null) keep.observe(content.current);
    return () => keep.disconnect();
  }, []);

  // The sender wants to see the message.
  const isSending = isUnderWay(turn) && turn.text !== undefined && turn.job === undefined;
  useLayoutEffect(() => {
    if (isSending) toTheEnd();
  }, [isSending]);

  useSteadyPosition(scroller, messages);

  return (
    <div class="history">
      <div class="scroller" ref={scroller} onScroll={onScroll} role="region" aria-label="History" tabIndex={0}>
        <div class="column" ref={content}>
          {phase === 'ready' && <Older conversation={conversation} view={view} scroller={scroller} />}
          {phase === 'loading' && <Loading />}
          {phase === 'failed' && <p class="nothing">{notice?.message}</p>}
          <ol class="messages" aria-label="Messages">
            {messages.map((message, n) => (
              <MessageItem
                key={message.id}
                message={message}
                talker={talker}
                day={dayBetween(messages[n - 1], message)}
                onInspect={onInspect}
              />
            ))}
            <TurnItems conversation={conversation} view={view} talker={talker} onInspect={onInspect} />
          </ol>
        </div>
      </div>
      {isAway && <Newest onClick={toTheEnd} />}
    </div>
  );
}

/** A button that leads a reader further up back to the end. */
function Newest({ onClick }: { readonly onClick: () => void }): JSX.Element {
  return (
    <button class="newest" type="button" onClick={onClick}>
      <Icon name="down" />
      To the newest
    </button>
  );
}

/** The day of a message, if it is the first one of that day. */
function dayBetween(before: Message | undefined, message: Message): string | undefined {
  const day = dayOf(message.created_at);
  return before !== undefined && dayOf(before.created_at) === day ? undefined : day;
}

/** Keeps the messages where they are when others are put above them. The text of the first message marks the place. */
function useSteadyPosition(scroller: { readonly current: HTMLElement | null }, messages: readonly Message[]): void {
  const mark = useRef<{ id: string; top: number } | undefined>(undefined);
  useLayoutEffect(() => {
    const [first] = messages;
    const element = scroller.current;
    if (first === undefined || element === null) return;
    const topOf = (id: string): number => {
      // Not the whole item: the day above it may move to a message that was just loaded.
      const text = document.getElementById(`m-${id}`)?.querySelector('.bubble-row');
      return (text?.getBoundingClientRect().top ?? 0) - element.getBoundingClientRect().top + element.scrollTop;
    };
    const old = mark.current;
    if (old !== undefined && old.id !== first.id) element.scrollTop += topOf(old.id) - old.top;
    mark.current = { id: first.id, top: topOf(first.id) };
  }, [messages]);
}

/** The place of older messages. It loads them as it comes near. */
function Older({
  conversation,
  view,
  scroller,
}: Pick<HistoryProps, 'conversation' | 'view'> & {
  readonly scroller: { readonly current: HTMLElement | null };
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState(false);
  const { before } = view;
  const load = (): void => {
    setFailed(false);
    conversation.loadOlder().catch(() => setFailed(true));
  };
  useEffect(() => {
    if (before === null || failed || place.current === null) return;
    const near = new IntersectionObserver(([entry]) => entry?.isIntersecting && load(), {
      root: scroller.current,
      rootMargin: AHEAD,
    });
    near.observe(place.current);
    return () => near.disconnect();
  }, [before, failed]);
  return (
    <div class="older" ref={place}>
      {before === null ? (
        <span>The beginning of the chat</span>
      ) : failed ? (
        <button class="button quiet" type="button" onClick={load}>
          Load older messages
        </button>
      ) : (
        <span class="pulse-text">Loading older messages…</span>
      )}
    </div>
  );
}

function Loading(): JSX.Element {
  return (
    <div class="loading" role="status" aria-label="Loading the chat">
      <span class="ghost-line" />
      <span class="ghost-line short" />
      <span class="ghost-line end" />
    </div>
  );
}
