import { beforeEach, describe, expect, it } from '@jest/globals';
import type { OtherPart } from '#database/entities/part.js';
import type { SavedReply } from '#jobs/read.js';
import type { ToolCallRow } from '#jobs/tool-calls.js';
import { ShownReply } from './shown-reply.js';
import type { TextPosition } from './text-position.js';

const reasoning = (text: string): OtherPart => ({ type: 'reasoning', text });
const source = (url: string): OtherPart => ({ type: 'source', url, title: null });
const call = (id: string, step: number, status = 'succeeded'): ToolCallRow =>
  ({ id, step, status, createdAt: new Date(0), resultSchema: null }) as unknown as ToolCallRow;

/** Two finished steps by the attempts 1 and 2, and a third one under way. */
const SAVED: SavedReply = {
  draft: 'One.Two.Thr',
  steps: [
    { attempt: 1, endsAt: 4, otherParts: [reasoning('r1'), source('s1')] },
    { attempt: 2, endsAt: 8, otherParts: [reasoning('r22')] },
  ],
  draftParts: [reasoning('r3'), source('s3')],
  mayHaveReasoned: true,
};
const CALLS = [call('a', 1), call('b', 1), call('c', 2)];
const ALL = [
  'reasoning 2.0: 0 r1',
  'delta 2.4: 0 One.',
  'source 2.4: s1',
  'tool_call 2.4: a',
  'tool_call 2.4: b',
  'reasoning 2.4: 2 r22',
  'delta 2.8: 4 Two.',
  'tool_call 2.8: c',
  'reasoning 2.8: 5 r3',
  'delta 2.11: 8 Thr',
  'source 2.11: s3',
];

describe('the reply that a client has', () => {
  let sent: string[];
  beforeEach(() => void (sent = []));
  const begun = (from: TextPosition): ShownReply =>
    new ShownReply(from, (event, id, data) => {
      const {
        offset = '',
        text,
        reasoning: thought,
        url,
        id: callId,
        reasoning_offset: r,
      } = data as Record<string, string>;
      sent.push(`${event} ${id}: ${[offset, text ?? thought ?? url ?? callId ?? r].join(' ').trim()}`);
    });
  const showAll = (reply: ShownReply): void => {
    reply.showSteps(SAVED, CALLS);
    reply.showDraft(SAVED);
  };

  it('gets each step with its reasoning, its text, its sources and its calls, and nothing twice', () => {
    const reply = begun({ attempt: 0, offset: 0 });
    reply.begin(2, SAVED.steps ?? [], true);
    showAll(reply);
    expect(sent).toEqual(ALL);
    showAll(reply);
    expect(sent).toEqual(ALL);
  });

  it('gets everything but the text again from the beginning, if it comes back to the same attempt', () => {
    const reply = begun({ attempt: 2, offset: 6 });
    reply.begin(2, SAVED.steps ?? [], true);
    showAll(reply);
    expect(sent).toEqual([
      'reasoning 2.6: 0 r1',
      'source 2.6: s1',
      'tool_call 2.6: a',
      'tool_call 2.6: b',
      'reasoning 2.6: 2 r22',
      'delta 2.8: 6 o.',
      ...ALL.slice(7),
    ]);
  });

  it('forgets what it has of a lost attempt: text, reasoning and sources', () => {
    const reply = begun({ attempt: 0, offset: 0 });
    reply.begin(2, SAVED.steps ?? [], true);
    showAll(reply);
    sent = [];
    reply.begin(3, SAVED.steps ?? [], true);
    expect(sent).toEqual(['reset 3.8: 8 5']);
    reply.showSteps(SAVED, CALLS);
    expect(sent.slice(1)).toEqual(['source 3.8: s1']);
  });

  it('forgets reasoning that an earlier stream may have sent, even without text to forget', () => {
    const steps = [{ attempt: 1, endsAt: 4, otherParts: [reasoning('r1')] }];
    for (const [mayHaveReasoned, expected] of [
      [true, ['reset 2.4: 4 2']],
      [false, []],
    ] as const) {
      sent = [];
      begun({ attempt: 1, offset: 4 }).begin(2, steps, mayHaveReasoned);
      expect(sent).toEqual(expected);
    }
    // It came back while the first attempt ran, and that was lost before it was heard of again.
    sent = [];
    const reply = begun({ attempt: 1, offset: 0 });
    reply.begin(1, [], false);
    reply.begin(2, [], true);
    expect(sent).toEqual(['reset 2.0: 0 0']);
    reply.begin(3, [], true);
    expect(sent).toHaveLength(1);
  });

  it('forgets all that it has of a later attempt, which is of another job', () => {
    begun({ attempt: 5, offset: 9 }).begin(2, SAVED.steps ?? [], false);
    expect(sent).toEqual(['reset 2.0: 0 0']);
  });

  it('takes pieces where they go on, shortens those that overlap, and notices a gap of each kind', () => {
    const reply = begun({ attempt: 1, offset: 2 });
    reply.begin(1, [], false);
    const at = { jobId: 'job', attempt: 1 };
    expect(reply.take({ ...at, kind: 'reasoning', offset: 1, text: 'x' })).toBe(false);
    expect(reply.take({ ...at, kind: 'reasoning', offset: 0, text: 'abc' })).toBe(true);
    expect(reply.take({ ...at, kind: 'reasoning', offset: 1, text: 'bcd' })).toBe(true);
    expect(reply.take({ ...at, kind: 'text', offset: 3, text: 'x' })).toBe(false);
    expect(reply.take({ ...at, kind: 'text', offset: 0, text: 'xyz' })).toBe(true);
    expect(reply.take({ ...at, kind: 'text', offset: 0, text: 'xyz' })).toBe(true);
    const cited = { ...at, kind: 'source', source: source('s') } as const;
    expect(reply.take({ ...cited, offset: 1 } as never)).toBe(false);
    expect(reply.take({ ...cited, offset: 0 } as never)).toBe(true);
    expect(reply.take({ ...cited, offset: 0 } as never)).toBe(true);
    expect(sent).toEqual(['reasoning 1.2: 0 abc', 'reasoning 1.2: 3 d', 'delta 1.3: 2 z', 'source 1.3: s']);
    expect(reply.extent).toEqual({ attempt: 1, text: 3, reasoning: 4, source: 1 });
  });
});
