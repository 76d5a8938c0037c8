import { isDeepStrictEqual } from 'node:util';
import { Answered } from './sequences-answers.js';
import { type Chat, type Kept, lasting, type State } from './sequences-state.js';
import type { ChatStatus } from './sequences-steps.js';

/** The answer with an opened chat, without `in_context`, which is always that of the present moment. */
function opened(body: any): object {
  return { ...body, messages: (body.messages as object[]).map(lasting) };
}

/** The model's rules about chats: each method is a step, or one moment of it, and gives the state after it. */
export class ChatSteps extends Answered {
  open(assistant: string, title: string | null): State {
    const { answer, key, print } = this.call;
    const kept = this.kept();
    if (kept === 'reused') return this.is(422, 'idempotency_key_reused');
    if (kept !== undefined) {
      this.must(answer.replayed, 'it is not marked as replayed');
      const { status, body } = kept.opened as NonNullable<Kept['opened']>;
      this.same([answer.status, opened(answer.body)], [status, opened(body)], 'what the key was answered at first');
      const seqs = (answer.body.messages as { seq: number }[]).map(({ seq }) => seq);
      this.messagesAre(kept.chatId, Math.min(...seqs), Math.max(...seqs), answer.body.messages, false);
      return this.state;
    }
    this.must(!answer.replayed, 'it is marked as replayed');
    const { body } = answer;
    const active = Object.entries(this.state.chats).find(
      ([, chat]) => chat.assistant === assistant && chat.status === 'active',
    );
    const keep = (chatId: string): Record<string, Kept> =>
      key === undefined ? {} : { [key]: { print, chatId, opened: { status: answer.status, body } } };
    const { messages, has_more, ...chat } = body;
    if (active !== undefined) {
      const [id, known] = active;
      this.is(200);
      this.chatIs(id, chat);
      // The service reads the chat and then its messages, so a turn may end in between.
      this.messagesAre(id, 1, known.messages.length, messages, false);
      this.same(has_more, false, 'has_more');
      return this.with({ keys: keep(id) });
    }
    this.is(201);
    const { id, created_at: createdAt } = chat as { id: string; created_at: string };
    this.must(this.state.chats[id] === undefined, 'the chat is not new');
    const next = this.with({
      chats: {
        [id]: {
          assistant,
          status: 'active',
          title,
          metadata: {},
          createdAt,
          updatedAt: createdAt,
          messages: [{ role: 'system', content: undefined, jobId: null, leftOutBy: null }],
        },
      },
      keys: keep(id),
    });
    const judge = new ChatSteps(next, this.call, this.facts);
    judge.chatIs(id, chat);
    judge.messagesAre(id, 1, 1, messages);
    return next;
  }

  change(change: { status?: ChatStatus; title?: string | null; metadata?: object }): State {
    const { chatId, answer } = this.call;
    const next = this.changed(change);
    if (answer.status === 200) new ChatSteps(next, this.call, this.facts).chatIs(chatId, answer.body);
    return next;
  }

  /** An operator changes the chat's state, and sees no messages. */
  shelve(status: ChatStatus): State {
    const { chatId, answer } = this.call;
    const next = this.changed({ status });
    if (answer.status !== 200) return next;
    const { status: is, messages } = next.chats[chatId] as Chat;
    this.same([answer.body.status, answer.body.messages], [is, messages.length], 'what operators see of the chat');
    return next;
  }

  private changed({
    status,
    title,
    metadata,
  }: {
    status?: ChatStatus;
    title?: string | null;
    metadata?: object;
  }): State {
    const { chatId, answer } = this.call;
    const chat = this.state.chats[chatId];
    if (chat === undefined) return this.is(404, 'not_found');
    if (!this.preconditionHolds(chatId)) return this.state;
    const to = {
      ...chat,
      ...(status && { status }),
      ...(title !== undefined && { title }),
      ...(metadata && { metadata }),
    };
    const taken = Object.values(this.state.chats).some(
      (other) => other !== chat && other.status === 'active' && other.assistant === chat.assistant,
    );
    if (to.status !== chat.status && (chat.status === 'closed' || (to.status === 'active' && taken))) {
      return this.is(409, 'invalid_transition');
    }
    this.is(200);
    const { updated_at: updatedAt } = answer.body as { updated_at: string };
    this.must(updatedAt >= chat.updatedAt, `the chat was changed at ${chat.updatedAt}, and then at ${updatedAt}`);
    return isDeepStrictEqual(to, chat) ? this.state : this.with({ chats: { [chatId]: { ...to, updatedAt } } });
  }

  deleted(): State {
    const { chatId } = this.call;
    if (this.state.chats[chatId] === undefined) return this.is(404, 'not_found');
    if (!this.preconditionHolds(chatId)) return this.state;
    this.is(204);
    const { [chatId]: _, ...chats } = this.state.chats;
    const keys = Object.entries(this.state.keys)
      .filter(([, kept]) => kept.chatId !== chatId || kept.opened === undefined)
      .map(([key, kept]) => [key, kept.chatId === chatId ? { ...kept, fades: true } : kept]);
    return { ...this.state, chats, keys: Object.fromEntries(keys) as State['keys'] };
  }

  forgotten(): State {
    const { chatId } = this.call;
    const keys = Object.entries(this.state.keys).filter(([, kept]) => !(kept.fades && kept.chatId === chatId));
    return { ...this.state, keys: Object.fromEntries(keys) };
  }

  readChat(): State {
    const { chatId, answer, match } = this.call;
    if (this.state.chats[chatId] === undefined) return this.is(404, 'not_found');
    this.chatIs(chatId, this.represented(answer.body, match));
    return this.state;
  }

  readPage(limit: number, forward: boolean): State {
    const { chatId, answer, from } = this.call;
    const chat = this.chatByPath();
    if (chat === undefined) return this.is(404, 'not_found');
    this.is(200);
    const last = chat.messages.length;
    const [low, high] = forward
      ? [(from ?? 0) + 1, Math.min((from ?? 0) + limit, last)]
      : [Math.max(1, (from ?? last + 1) - limit), (from ?? last + 1) - 1];
    const { data, has_more, before, after: newer } = answer.body;
    this.messagesAre(chatId, low, high, data);
    this.same(has_more, forward ? high < last : low > 1, 'has_more');
    this.same(before !== null, low > 1, 'a cursor to older messages');
    this.must(newer !== null, 'there is no cursor to newer messages');
    return this.state;
  }

  list(step: { assistant: string | undefined; status: ChatStatus | undefined; limit: number }): State {
    const { answer } = this.call;
    this.is(200);
    const wanted = Object.entries(this.state.chats).filter(
      ([, chat]) =>
        (step.assistant === undefined || chat.assistant === step.assistant) &&
        (step.status === undefined || chat.status === step.status),
    );
    const data = answer.body.data as { id: string; last_message_at: string }[];
    this.same(data.length, Math.min(step.limit, wanted.length), 'how many chats are on the page');
    this.same(answer.body.has_more, wanted.length > step.limit, 'has_more');
    const places = data.map(({ id, last_message_at }) => `${last_message_at} ${id}`);
    this.same(places, [...new Set(places)].sort().reverse(), 'the order');
    for (const chat of data) {
      this.must(
        wanted.some(([id]) => id === chat.id),
        `the chat ${chat.id} is not one of those`,
      );
      this.chatIs(chat.id, chat);
    }
    const lowest = places.at(-1) ?? '';
    for (const [id, { messages }] of wanted) {
      if (data.some((chat) => chat.id === id)) continue;
      const at = this.facts.message(id, messages.length)?.created_at as string | undefined;
      this.must(at === undefined || `${at} ${id}` < lowest, `the chat ${id} is left out`);
    }
    return this.state;
  }

  leave(): State {
    this.is(200);
    const chats = Object.values(this.state.chats);
    const jobs = Object.values(this.state.jobs).filter(({ chatId }) => this.state.chats[chatId] !== undefined);
    const { body } = this.call.answer;
    const counts = { chats: body.chats, messages: body.messages, jobs: body.jobs, keys: body.idempotency_keys };
    const expected = {
      chats: chats.length,
      messages: chats.reduce((sum, { messages }) => sum + messages.length, 0),
      jobs: jobs.length,
      keys: Object.keys(this.state.keys).length,
    };
    this.same(counts, expected, 'what the receipt counts');
    return { ...this.state, chats: {}, keys: {} };
  }
}
