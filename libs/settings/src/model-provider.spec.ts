import { describe, expect, it } from '@jest/globals';
import { readModelAddress } from './model-address.js';
import { publicAddress, readModelProvider } from './model-provider.js';
import { readSettings, type SettingsError } from './settings.js';

const read = (env: Record<string, string>) => {
  const faults: string[] = [];
  return { provider: readModelProvider((name) => env[name], faults), faults };
};

describe('MODEL_PROVIDER', () => {
  it.each<[Record<string, string>, object]>([
    [{}, { name: 'anthropic' }],
    [{ MODEL_PROVIDER: 'anthropic', AWS_REGION: 'us-east-1' }, { name: 'anthropic' }],
    [
      { MODEL_PROVIDER: 'bedrock', AWS_REGION: 'us-gov-west-1', AWS_DEFAULT_REGION: 'x' },
      { name: 'bedrock', region: 'us-gov-west-1', bearerToken: undefined },
    ],
    [
      { MODEL_PROVIDER: 'Bedrock', AWS_DEFAULT_REGION: 'eu-west-1', AWS_BEARER_TOKEN_BEDROCK: 'a-key' },
      { name: 'bedrock', region: 'eu-west-1', bearerToken: 'a-key' },
    ],
    [
      {
        MODEL_PROVIDER: 'vertex',
        CLOUD_ML_REGION: 'global',
        ANTHROPIC_VERTEX_PROJECT_ID: 'p-1',
        GOOGLE_CLOUD_PROJECT: 'q',
      },
      { name: 'vertex', region: 'global', project: 'p-1' },
    ],
    [
      { MODEL_PROVIDER: 'vertex', GOOGLE_CLOUD_LOCATION: 'europe-west1', GOOGLE_CLOUD_PROJECT: 'example.com:p-1' },
      { name: 'vertex', region: 'europe-west1', project: 'example.com:p-1' },
    ],
  ])('%j names the provider, by the variables of its platform', (env, provider) => {
    expect(read(env)).toEqual({ provider, faults: [] });
  });

  it.each<[Record<string, string>, string[]]>([
    [{ MODEL_PROVIDER: 'azure' }, ['MODEL_PROVIDER must be one of anthropic, bedrock, vertex, not "azure".']],
    [
      { MODEL_PROVIDER: 'bedrock' },
      ['AWS_REGION (or AWS_DEFAULT_REGION) is not set: MODEL_PROVIDER=bedrock needs a region, as us-east-1.'],
    ],
    [
      { MODEL_PROVIDER: 'bedrock', AWS_REGION: 'evil.example/' },
      ['AWS_REGION must be a region, as us-east-1, not "evil.example/".'],
    ],
    [
      { MODEL_PROVIDER: 'bedrock', AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'AKID' },
      ['AWS_SECRET_ACCESS_KEY is not set, and AWS_ACCESS_KEY_ID is.'],
    ],
    [
      { MODEL_PROVIDER: 'bedrock', AWS_REGION: 'us-east-1', AWS_SECRET_ACCESS_KEY: 'qpxz' },
      ['AWS_ACCESS_KEY_ID is not set, and AWS_SECRET_ACCESS_KEY is.'],
    ],
    [
      { MODEL_PROVIDER: 'bedrock', AWS_REGION: 'us-east-1', AWS_BEARER_TOKEN_BEDROCK: 'qp xz' },
      [
        expect.stringMatching(/^AWS_BEARER_TOKEN_BEDROCK holds characters that no header can carry(?!.*qp xz)/),
      ] as never,
    ],
    [
      { MODEL_PROVIDER: 'vertex', GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/key.json' },
      [
        'GOOGLE_APPLICATION_CREDENTIALS names a file that does not exist: /nowhere/key.json.',
        'CLOUD_ML_REGION (or GOOGLE_CLOUD_LOCATION) is not set: MODEL_PROVIDER=vertex needs a region, as europe-west1, or global.',
        'ANTHROPIC_VERTEX_PROJECT_ID (or GOOGLE_CLOUD_PROJECT) is not set: MODEL_PROVIDER=vertex needs the id of a project.',
      ],
    ],
    [
      { MODEL_PROVIDER: 'vertex', CLOUD_ML_REGION: 'global', GOOGLE_CLOUD_PROJECT: '../p' },
      ['GOOGLE_CLOUD_PROJECT must be the id of a project, not "../p".'],
    ],
  ])('%j is refused by name', (env, faults) => {
    expect(read(env).faults).toEqual(faults);
  });

  it.each([
    [
      'bedrock',
      'https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com/',
      'https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com',
    ],
    ['bedrock', 'https://gw.example/bedrock/v1/', 'https://gw.example/bedrock/v1'],
    ['bedrock', 'localhost:8000', 'http://localhost:8000'],
    ['vertex', 'https://aiplatform.example', 'https://aiplatform.example/v1'],
    ['vertex', 'https://aiplatform.example/v1/', 'https://aiplatform.example/v1'],
    ['vertex', 'https://gw.example/vertex_ai/v1', 'https://gw.example/vertex_ai/v1'],
  ] as const)('%s takes ANTHROPIC_BASE_URL %s as %s', (name, text, address) => {
    const faults: string[] = [];
    expect([readModelAddress(text, faults, name), faults]).toEqual([address, []]);
  });

  it.each([
    'https://bedrock-mantle.us-east-1.api.aws/anthropic',
    'https://bedrock-runtime.us-east-1.amazonaws.com/anthropic/v1/messages',
  ])('bedrock refuses the address of a Messages API: %s', (text) => {
    const faults: string[] = [];
    expect(readModelAddress(text, faults, 'bedrock')).toBeUndefined();
    expect(faults).toEqual([expect.stringContaining('Leave MODEL_PROVIDER unset')]);
    expect(readModelAddress(text, [])).toMatch(/\/anthropic$/);
  });

  it('has an address of the provider’s own for each', () => {
    expect(publicAddress({ name: 'anthropic' })).toBeUndefined();
    expect(publicAddress({ name: 'bedrock', region: 'us-east-1', bearerToken: undefined })).toMatch(
      /^https:\/\/bedrock-runtime\.us-east-1\./,
    );
    expect(publicAddress({ name: 'vertex', region: 'global', project: 'p' })).toBe(
      'https://aiplatform.googleapis.com/v1',
    );
  });

  const worker = { DATABASE_URL: 'postgres://localhost/db', NODE_ENV: 'production' };
  const bedrock = { ...worker, MODEL_PROVIDER: 'bedrock', AWS_REGION: 'eu-west-1' };

  it('other than anthropic needs no key in production, and gets none', () => {
    const { model } = readSettings('worker', { ...bedrock, ANTHROPIC_API_KEY: 'sk-ant-qpxz' });
    expect(model.apiKey).toBeUndefined();
    expect(model.baseUrl).toBe('https://bedrock-runtime.eu-west-1.amazonaws.com');
    expect(() => readSettings('worker', worker)).toThrow('ANTHROPIC_API_KEY is not set');
  });

  it('concerns only the worker', () => {
    const api = {
      ...worker,
      MODEL_PROVIDER: 'none',
      AWS_ACCESS_KEY_ID: 'AKID',
      JWT_SECRET: 'Zx0o1cT5mVb8Qe7Lr2Wf9Kd4Hs6Ny3Ua',
    };
    expect(readSettings('api', api).model.provider).toEqual({ name: 'anthropic' });
  });

  it('has the proxy of its address, and one for servers with credentials', () => {
    const HTTPS_PROXY = 'http://proxy:3128';
    const proxy = { name: 'HTTPS_PROXY', url: HTTPS_PROXY };
    const NO_PROXY = '.eu-west-1.amazonaws.com';
    expect(readSettings('worker', { ...bedrock, HTTPS_PROXY }).model).toMatchObject({
      proxy,
      credentialsProxy: { proxy },
    });
    expect(readSettings('worker', { ...bedrock, HTTPS_PROXY, NO_PROXY }).model).toMatchObject({
      proxy: undefined,
      credentialsProxy: { proxy, noProxy: NO_PROXY },
    });
    const faultsOf = (env: NodeJS.ProcessEnv): readonly string[] => {
      try {
        readSettings('worker', env);
        return [];
      } catch (error) {
        return (error as SettingsError).faults;
      }
    };
    expect(faultsOf({ ...bedrock, HTTPS_PROXY: 'socks5://qpxz' })).toEqual([
      expect.stringMatching(/^HTTPS_PROXY must look like/),
    ]);
  });
});
