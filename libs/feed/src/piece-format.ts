import type { SourcePart } from '#database/entities/part.js';
import type { Extent, Piece } from './reply-feed.js';

/*
 * Pieces and questions as they travel, without the job's id.
 *
 * Processes of an older version know text only: `<attempt> <offset> <text>`. The attempt of any other piece is negative, so that they take it
 * for a piece of an earlier attempt, and pass over it. They ask with `<attempt> <offset>`, and ignore what follows in a question.
 */

/** A piece as it travels. */
export function encodePiece(piece: Piece): string {
  const { attempt, offset } = piece;
  switch (piece.kind) {
    case 'text':
      return `${attempt} ${offset} ${piece.text}`;
    case 'reasoning':
      return `-${attempt} ${offset} reasoning ${piece.text}`;
    case 'source':
      return `-${attempt} ${offset} source ${JSON.stringify(piece.source)}`;
  }
}

/** Reads a piece. @returns undefined: it is of a kind of a later version, or no piece */
export function decodePiece(jobId: string, message: string): Piece | undefined {
  const [attempt = '', offset = ''] = message.split(' ', 2);
  const rest = message.slice(attempt.length + offset.length + 2);
  const place = { jobId, attempt: Math.abs(Number(attempt)), offset: Number(offset) };
  if (!attempt.startsWith('-')) return { ...place, kind: 'text', text: rest };
  const [kind = ''] = rest.split(' ', 1);
  const value = rest.slice(kind.length + 1);
  if (kind === 'reasoning') return { ...place, kind, text: value };
  const source = kind === 'source' ? sourceIn(value) : undefined;
  return source && { ...place, kind: 'source', source };
}

/** A question as it travels. */
export function encodeExtent({ attempt, text, reasoning, source }: Extent): string {
  return [attempt, text, reasoning, source].join(' ');
}

/** Reads a question. A process of an older version lacks nothing but text. */
export function decodeExtent(message: string): Extent {
  const [attempt, text, reasoning = Infinity, source = Infinity] = message.split(' ').map(Number);
  return { attempt: Number(attempt), text: Number(text), reasoning, source };
}

function sourceIn(json: string): SourcePart | undefined {
  try {
    return JSON.parse(json) as SourcePart;
  } catch {
    return undefined;
  }
}
