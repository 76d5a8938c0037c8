import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

describe('the models of the stand-in', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    // The SDK warns of deprecated models.
    jest.spyOn(console, 'warn').mockReturnValue(undefined);
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await stub.stop();
  });

  const listed = async (query: Anthropic.ModelListParams = {}): Promise<Anthropic.ModelInfo[]> => {
    const models: Anthropic.ModelInfo[] = [];
    for await (const model of client.models.list(query)) models.push(model);
    return models;
  };
  const ids = async (query?: Anthropic.ModelListParams): Promise<string[]> => (await listed(query)).map(({ id }) => id);

  it('are listed page by page, the newest first, without the retired ones by default', async () => {
    const all = await ids();
    expect(all).toEqual([
      'claude-haiku-5-5',
      'claude-sonnet-5-5',
      'claude-opus-5-5',
      'claude-opus-5',
      'claude-sonnet-5',
      'claude-haiku-4-5-20251001',
      'claude-sonnet-4-5-20250929',
    ]);
    expect(await ids({ limit: 2 })).toEqual(all);
    const page = await client.models.list({ limit: 3, after_id: 'claude-opus-5-5' });
    expect(page).toMatchObject({ has_more: true, first_id: 'claude-opus-5', last_id: 'claude-haiku-4-5-20251001' });
    const before = await client.models.list({ limit: 1, before_id: 'claude-opus-5-5' });
    expect([before.data.map(({ id }) => id), before.has_more]).toEqual([['claude-sonnet-5-5'], true]);
    expect(await ids({ lifecycle: ['retired'] })).toEqual(['claude-sonnet-4-20250514']);
    await expect(listed({ limit: 0 })).rejects.toThrow(/limit/);
  });

  it('are found by their names and aliases, with their capabilities and lifetimes', async () => {
    expect(await client.models.retrieve('claude-sonnet-5-5')).toMatchObject({
      type: 'model',
      display_name: 'Claude Sonnet 5.5',
      line: 'sonnet',
      created_at: '2026-09-28T00:00:00Z',
      lifecycle: 'active',
      deprecated_at: null,
      retires_at: null,
      max_input_tokens: 1_000_000,
      max_tokens: 128_000,
      capabilities: {
        effort: { supported: true, low: { supported: true }, max: { supported: true } },
        thinking: {
          supported: true,
          types: {
            adaptive: { supported: true },
            between_tools: { supported: true },
            disabled: { supported: false },
            enabled: { supported: false },
          },
        },
      },
    });
    expect(await client.models.retrieve('claude-sonnet-4-5')).toMatchObject({
      id: 'claude-sonnet-4-5-20250929',
      lifecycle: 'deprecated',
      retires_at: '2026-11-30T00:00:00Z',
      capabilities: { effort: { supported: false } },
    });
    await expect(client.models.retrieve('claude-nobody-9')).rejects.toThrow(/model: claude-nobody-9/);
    // The stand-in answers for it, but does not list it.
    await expect(client.models.retrieve('m')).rejects.toThrow(/model: m/);
  });

  it('show what their requests meet: a capability is missing where a request is refused', async () => {
    for (const { id, capabilities, max_tokens: most } of await listed({ lifecycle: ['active', 'deprecated'] })) {
      const ask = (more: object): Promise<boolean> =>
        client.messages
          .create({ model: id, max_tokens: 2_000, messages: [{ role: 'user', content: 'x' }], ...more })
          .then(
            () => true,
            () => false,
          );
      for (const [type, { supported }] of Object.entries(capabilities?.thinking.types ?? {})) {
        const thinking = { type, ...(type === 'enabled' && { budget_tokens: 1024 }) };
        expect([id, type, await ask({ thinking })]).toEqual([id, type, supported]);
      }
      expect([id, await ask({ output_config: { effort: 'low' } })]).toEqual([id, capabilities?.effort.supported]);
      expect([id, await ask({ max_tokens: (most ?? 0) + 1, stream: true })]).toEqual([id, false]);
    }
  });

  it('answer by their full names', async () => {
    const answer = await client.messages.create({
      model: 'claude-haiku-4-5',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'x' }],
    });
    expect(answer.model).toBe('claude-haiku-4-5-20251001');
  });

  it('can be changed and added by tests, and reset', async () => {
    const ask = (model: string): Promise<unknown> =>
      client.messages.create({ model, max_tokens: 100, messages: [{ role: 'user', content: 'x' }] });
    await stub.models('claude-opus-5', { lifecycle: 'retired', retires_at: '2026-11-01T00:00:00Z' });
    await stub.models('ours', { max_tokens: 50, lifecycle: 'deprecated' });
    await expect(ask('claude-opus-5')).rejects.toThrow(/model: claude-opus-5/);
    await expect(ask('ours')).rejects.toThrow(/max_tokens: 100 > 50/);
    expect(await client.models.retrieve('ours')).toMatchObject({ lifecycle: 'deprecated', max_tokens: 50 });
    await stub.models();
    await ask('claude-opus-5');
    await ask('ours');
    await expect(stub.models('claude-opus-5', { lifecycle: 'immortal' as never })).rejects.toThrow(/lifecycle/);
    await expect(stub.models('claude-opus-5', { line: 'x' } as never)).rejects.toThrow(/line cannot be changed/);
  });
});
