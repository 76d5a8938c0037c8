import { describe, expect, it } from '@jest/globals';
import type { Piece } from '#feed/reply-feed.js';
import type { FinishedStep } from '#jobs/steps.js';
import { Call } from '../model/call.js';
import { Draft } from './draft.js';

const source = (n: number) => ({ type: 'source' as const, url: `https://a.test/${n}`, title: null });
const call = (): Call => new Call(1_000, () => undefined);
const begun = (...steps: Pick<FinishedStep, 'text' | 'otherParts'>[]): Draft =>
  new Draft({ id: 'job', attempt: 1, steps: steps as FinishedStep[] }, call());
const shown = (pieces: readonly Piece[]): string[] =>
  pieces.map((piece) =>
    piece.kind === 'source' ? `source ${piece.offset}` : `${piece.kind} ${piece.offset} ${piece.text}`,
  );

describe('a draft', () => {
  it('gives its pieces in the order in which they came, whatever their kind', () => {
    const draft = begun();
    draft.addReasoning('I ');
    draft.addReasoning('think.');
    draft.add('So ');
    draft.addSource(source(0));
    draft.add('it is.');
    draft.addReasoning(' Done?');
    expect(shown(draft.takePieces())).toEqual([
      'reasoning 0 I think.',
      'text 0 So ',
      'source 0',
      'text 3 it is.',
      'reasoning 8  Done?',
    ]);
    expect(draft.takePieces()).toEqual([]);
    draft.addReasoning(' Yes.');
    draft.add(' End.');
    expect(shown(draft.takePieces())).toEqual(['reasoning 14  Yes.', 'text 9  End.']);
  });

  it('gives them again in the same order, from where a stream has them', () => {
    const draft = begun();
    draft.addReasoning('I think.');
    draft.add('So it is.');
    draft.addSource(source(0));
    draft.addSource(source(1));
    draft.takePieces();
    draft.rewind({ text: 3, reasoning: 2, source: 1 });
    expect(shown(draft.takePieces())).toEqual(['reasoning 2 think.', 'text 3 it is.', 'source 1']);
    draft.rewind({ text: 99, reasoning: Infinity, source: Infinity });
    expect(draft.takePieces()).toEqual([]);
    draft.rewind({ text: NaN, reasoning: NaN, source: NaN });
    expect(draft.takePieces()).toEqual([]);
  });

  it('gives what is not saved again after a cut of the feed, and at least the end of each kind', () => {
    const draft = begun();
    draft.addReasoning('I think.');
    draft.add('So ');
    draft.addSource(source(0));
    draft.takePieces();
    draft.unsaved().written();
    draft.add('it is.');
    draft.takePieces();
    draft.rewind();
    expect(shown(draft.takePieces())).toEqual(['reasoning 7 .', 'source 0', 'text 3 it is.']);
  });

  it('goes on after the reply of finished steps, which is not published again unless a stream asks', () => {
    const reasoning = { type: 'reasoning' as const, text: 'First.' };
    const draft = begun({ text: 'One.', otherParts: [reasoning, source(0)] }, { text: ' Two.', otherParts: null });
    draft.addReasoning(' Then.');
    draft.add(' Three.');
    draft.addSource(source(1));
    expect(shown(draft.takePieces())).toEqual(['reasoning 6  Then.', 'text 9  Three.', 'source 1']);
    expect(draft.otherParts()).toEqual([{ type: 'reasoning', text: ' Then.' }, source(1)]);
    draft.rewind({ text: 0, reasoning: 0, source: 0 });
    expect(shown(draft.takePieces()).slice(0, 3)).toEqual(['reasoning 0 First.', 'text 0 One. Two.', 'source 0']);
  });

  it('keeps back half a character until the other half has come, and makes it whole at the end of the step', () => {
    const draft = begun();
    draft.addReasoning('a\ud83d');
    draft.add('b\ud83d');
    expect(shown(draft.takePieces())).toEqual(['reasoning 0 a', 'text 0 b']);
    expect(draft.otherParts()).toEqual([{ type: 'reasoning', text: 'a' }]);
    draft.addReasoning('\ude00');
    draft.add('\ude00');
    expect(shown(draft.takePieces())).toEqual(['reasoning 1 😀', 'text 1 😀']);
    draft.addReasoning('\ud83d');
    draft.endStep();
    expect(shown(draft.takePieces())).toEqual(['reasoning 3 \ufffd']);
    expect(draft.otherParts()).toEqual([{ type: 'reasoning', text: 'a😀\ufffd' }]);
  });

  it('has the parts of its step saved whenever there are new ones, and those of a finished step no more', () => {
    const draft = begun();
    const saved = (): unknown => {
      const { beat, written } = draft.unsaved();
      written();
      return beat.otherParts === undefined ? undefined : JSON.parse(beat.otherParts);
    };
    draft.add('text');
    expect(saved()).toBeUndefined();
    draft.addReasoning('so');
    // A heartbeat that is not written is sent again.
    expect(draft.unsaved().beat.otherParts).toBe(draft.unsaved().beat.otherParts);
    expect(saved()).toEqual([{ type: 'reasoning', text: 'so' }]);
    expect(saved()).toBeUndefined();
    draft.addSource(source(0));
    expect(saved()).toEqual([{ type: 'reasoning', text: 'so' }, source(0)]);
    draft.endStep();
    draft.nextStep(call());
    expect([saved(), draft.otherParts()]).toEqual([undefined, null]);
    draft.addReasoning(' on');
    expect(saved()).toEqual([{ type: 'reasoning', text: ' on' }]);
  });
});
