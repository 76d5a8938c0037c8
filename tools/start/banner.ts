export interface BannerFacts {
  readonly version: string;
  readonly api: string;
  readonly worker: string;
  /** The address of the API's metrics; undefined: it serves none. */
  readonly metrics: string | undefined;
  /** The API serves the playground. */
  readonly playground: boolean;
  /** Undefined when an identity provider signs the tokens. */
  readonly token: string | undefined;
  /** The embedded server's data directory; undefined for the user's own database. */
  readonly embeddedData: string | undefined;
  readonly queue: 'postgres' | 'redis' | 'away';
  /** `stand-in`, or the address of the model's API. */
  readonly model: string;
  /** The address of the example tool server; undefined: it does not run here. */
  readonly tools: string | undefined;
  readonly ms: number;
}

/** The text that a started service prints: its address, a command that works, and which parts are real. */
export function banner(facts: BannerFacts): string {
  const database =
    facts.embeddedData === undefined
      ? 'the PostgreSQL of DATABASE_URL'
      : `real PostgreSQL 18, embedded; its data is kept under ${facts.embeddedData}`;
  const queue = {
    postgres: 'real BullMQ, on the same PostgreSQL',
    redis: 'real BullMQ, on the Redis of REDIS_URL',
    away: 'AWAY: the Redis of REDIS_URL does not answer. Turns are accepted, and run once it does',
  }[facts.queue];
  const model =
    facts.model === 'stand-in'
      ? 'STAND-IN: it answers, and is no real model. Set ANTHROPIC_API_KEY for one'
      : `real, at ${facts.model}`;
  const tools =
    facts.tools === undefined
      ? ''
      : `\n    Tools        EXAMPLE: the made-up shop of examples/tool-server, at ${facts.tools}`;
  return `
  Rejoinder ${facts.version} is ready (${(facts.ms / 1000).toFixed(1)} s)

    Playground   ${facts.playground ? `${facts.api}/` : 'off (PLAYGROUND)'}
    Swagger UI   ${facts.api}/docs
    Contract     ${facts.api}/openapi.yaml
    Health       ${facts.api}/health/ready (api)   ${facts.worker}/health/ready (worker)
    Metrics      ${facts.metrics === undefined ? '' : `${facts.metrics} (api)   `}${facts.worker}/metrics (worker)

    Database     ${database}
    Queue        ${queue}
    Model        ${model}${tools}

${invitation(facts)}
  Ctrl-C stops everything.
`;
}

function invitation({ api, token }: BannerFacts): string {
  const line = (bearer: string): string =>
    `    curl -w '\\n' -X POST ${api}/api/v1/assistants/support/chats -H 'Authorization: Bearer ${bearer}'`;
  if (token === undefined) {
    return `  Open a chat with a token of the identity provider of JWT_JWKS_URI:

${line('<token>')}
`;
  }
  return `  Open a chat as the user "demo" (the token is valid for 24 hours; Authorize in Swagger UI takes it, too):

${line(token)}

  A token for anybody else:  npm run --silent token -- alice`;
}
