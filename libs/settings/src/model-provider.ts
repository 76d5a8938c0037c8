import { existsSync } from 'node:fs';

/**
 * The provider of the models, with what its client needs. Credentials of AWS and Google are no settings: the providers' own libraries look
 * for them, in the same places as in other programs.
 */
export type ModelProvider =
  | { readonly name: 'anthropic' }
  | {
      readonly name: 'bedrock';
      readonly region: string;
      /** An API key of Amazon Bedrock. Undefined: AWS credentials sign the requests. */
      readonly bearerToken: string | undefined;
    }
  | { readonly name: 'vertex'; readonly region: string; readonly project: string };

const NAMES = ['anthropic', 'bedrock', 'vertex'] as const;

/** A region is a part of the server's name, and must not add another part. */
const REGION = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** The id of a project. An old one has a domain and a colon before it. */
const PROJECT = /^[a-z0-9][a-z0-9.:-]+$/;

/** What the value of a header can hold, without spaces. */
const HEADER_VALUE = /^[\x21-\x7e]+$/;

type Text = (name: string) => string | undefined;

/**
 * Reads `MODEL_PROVIDER`, and what the named provider needs. The variables have the names that AWS, Google and the SDK gave them, so that
 * they are set already where a platform sets them. Faults are added to `faults`; they name the variable and never repeat a secret.
 */
export function readModelProvider(text: Text, faults: string[]): ModelProvider {
  const name = text('MODEL_PROVIDER')?.toLowerCase() ?? 'anthropic';
  /** The value of the first of the variables that is set; empty: it cannot be used. */
  const required = (variables: readonly [string, string], form: RegExp, what: string): string => {
    const variable = variables.find((each) => text(each) !== undefined);
    const value = variable === undefined ? '' : (text(variable) ?? '');
    if (form.test(value)) return value;
    faults.push(
      variable === undefined
        ? `${variables.join(' (or ')}) is not set: MODEL_PROVIDER=${name} needs ${what}.`
        : `${variable} must be ${what}, not "${value}".`,
    );
    return '';
  };
  switch (name) {
    case 'anthropic':
      return { name };
    case 'bedrock':
      checkKeyPair(text, faults);
      return {
        name,
        region: required(['AWS_REGION', 'AWS_DEFAULT_REGION'], REGION, 'a region, as us-east-1'),
        bearerToken: readBearerToken(text, faults),
      };
    case 'vertex':
      checkCredentialsFile(text, faults);
      return {
        name,
        region: required(['CLOUD_ML_REGION', 'GOOGLE_CLOUD_LOCATION'], REGION, 'a region, as europe-west1, or global'),
        project: required(['ANTHROPIC_VERTEX_PROJECT_ID', 'GOOGLE_CLOUD_PROJECT'], PROJECT, 'the id of a project'),
      };
    default:
      faults.push(`MODEL_PROVIDER must be one of ${NAMES.join(', ')}, not "${name}".`);
      return { name: 'anthropic' };
  }
}

/**
 * The address of the provider's public server, which the SDK's client also has by itself. It is computed here because the proxy on the way
 * depends on it. Undefined: the Messages API has its own default.
 */
export function publicAddress(provider: ModelProvider): string | undefined {
  switch (provider.name) {
    case 'anthropic':
      return undefined;
    case 'bedrock':
      return `https://bedrock-runtime.${provider.region}.amazonaws.com`;
    case 'vertex':
      return `https://${vertexHost(provider.region)}/v1`;
  }
}

function vertexHost(region: string): string {
  if (region === 'global') return 'aiplatform.googleapis.com';
  // The regions that have several places.
  if (region === 'us' || region === 'eu') return `aiplatform.${region}.rep.googleapis.com`;
  return `${region}-aiplatform.googleapis.com`;
}

function readBearerToken(text: Text, faults: string[]): string | undefined {
  const token = text('AWS_BEARER_TOKEN_BEDROCK');
  if (token !== undefined && !HEADER_VALUE.test(token)) {
    faults.push(
      'AWS_BEARER_TOKEN_BEDROCK holds characters that no header can carry. Copy the key again, complete and without anything else.',
    );
  }
  return token;
}

/** AWS's library ignores half of a pair, and looks for other credentials. */
function checkKeyPair(text: Text, faults: string[]): void {
  const [there, missing] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'].sort(
    (one, other) => Number(text(one) === undefined) - Number(text(other) === undefined),
  ) as [string, string];
  if (text(there) !== undefined && text(missing) === undefined) faults.push(`${missing} is not set, and ${there} is.`);
}

function checkCredentialsFile(text: Text, faults: string[]): void {
  const path = text('GOOGLE_APPLICATION_CREDENTIALS');
  if (path !== undefined && !existsSync(path)) {
    faults.push(`GOOGLE_APPLICATION_CREDENTIALS names a file that does not exist: ${path}.`);
  }
}
