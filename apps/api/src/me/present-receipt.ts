import type { components } from '#contract/openapi.gen.js';
import type { Receipt } from '#database/entities/receipt.entity.js';

/** A receipt as JSON. It does not say whose data it was. */
export function presentReceipt(receipt: Receipt): components['schemas']['Receipt'] {
  return {
    id: receipt.id,
    requested_at: receipt.begunAt.toISOString(),
    deleted_at: receipt.endedAt?.toISOString() ?? null,
    chats: Number(receipt.chats),
    messages: Number(receipt.messages),
    jobs: Number(receipt.jobs),
    idempotency_keys: Number(receipt.idempotencyKeys),
  };
}
