import type { NamedPrograms } from '../tools/by-name.js';

/** The benches that have a name. The bench without one, `service.ts`, compares the service with a bare ceiling. */
export const BENCHES: NamedPrograms = {
  'long-chat': {
    takes: '[MESSAGES]',
    does: 'pages and turns in a chat of a million messages',
    file: 'dist/bench/long-chat.js',
  },
  streams: { takes: '[STREAMS]', does: 'ten thousand idle streams of one process', file: 'dist/bench/idle-streams.js' },
  feed: {
    takes: '[SECONDS]',
    does: 'two ways to send the text of replies to API processes',
    file: 'dist/bench/feed.js',
  },
  'first-piece': {
    takes: '[ROUNDS] [postgres|redis]',
    does: 'how much later the first piece of a reply comes',
    file: 'dist/bench/first-piece.js',
  },
  'slow-turns': {
    takes: '[TURNS] [postgres|redis]',
    does: 'a thousand slow turns in one worker',
    file: 'dist/bench/slow-turns.js',
  },
  money: { does: 'what whole chats cost, with and without the provider’s cache', file: 'dist/bench/money.js' },
  workers: { takes: '[ROUNDS] [postgres|redis]', does: 'four workers beside one', file: 'dist/bench/workers.js' },
  scale: {
    takes: '[--rows TURNS] [--plans]',
    does: 'statements among millions of turns, with their plans',
    file: 'dist/bench/scale.js',
  },
};
