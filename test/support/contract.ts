import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

import { readContract } from './contract-file.js';

type Json = Record<string, unknown>;

/** One operation of the contract. */
export interface ContractOperation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly pattern: RegExp;
  readonly statuses: readonly number[];
  readonly open: boolean;
  readonly hasBody: boolean;
}

/** An HTTP exchange as a client saw it. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  /** The query and the body of the request, where they are known. */
  readonly sent?: { readonly query: URLSearchParams; readonly body: unknown };
}

/** A response of the contract. */
interface ExpectedResponse {
  /** The schema, as a pointer, by type; undefined: no body. */
  readonly content: ReadonlyMap<string, string> | undefined;
  /** The headers that it must have. */
  readonly required: readonly string[];
}

/**
 * `openapi.yaml`, ready to check exchanges. Object schemas are closed here unless they say otherwise: the contract leaves room for new
 * fields, but a field that it does not name is drift.
 */
export class Contract {
  readonly document: Json;
  readonly operations: readonly ContractOperation[];
  private readonly ajv: Ajv2020;
  private readonly validators = new Map<string, ValidateFunction>();
  private readonly responses = new Map<string, ExpectedResponse>();

  constructor(document: Json = readContract()) {
    this.document = document;
    this.operations = operationsOf(document);
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    (addFormats as unknown as (ajv: Ajv2020) => void)(this.ajv);
    this.ajv.addSchema({ ...(closed(document) as Json), $id: 'contract' });
  }

  find(method: string, path: string): ContractOperation | undefined {
    return this.operations.find((operation) => operation.method === method && operation.pattern.test(path));
  }

  /** Faults of an exchange by the contract; empty: none. */
  faults(exchange: Exchange): string[] {
    const where = `${exchange.method} ${exchange.path} → ${exchange.status}`;
    const faults: string[] = [];
    if (!exchange.headers.get('x-request-id')) faults.push(`${where}: no X-Request-Id`);
    const operation = this.find(exchange.method, exchange.path.split('?', 1)[0] ?? '');
    if (operation === undefined) {
      // This is no operation of the contract, so the answer must be an error in the common shape.
      if (exchange.status < 400) faults.push(`${where}: not in the contract`);
      return [...faults, ...this.schemaFaults('/components/schemas/ErrorBody', exchange.body, where)];
    }
    if (!operation.statuses.includes(exchange.status)) return [...faults, `${where}: status not in the contract`];
    // An accepted request must be valid by the contract: if the service accepts more, that is drift, too.
    if (exchange.sent !== undefined && exchange.status < 400)
      faults.push(...this.requestFaults(operation, exchange.sent, where));
    const { content, required } = this.expected(operation, exchange.status);
    for (const name of required) if (exchange.headers.get(name) === null) faults.push(`${where}: no ${name}`);
    if (content === undefined) {
      if (exchange.body !== undefined) faults.push(`${where}: has a body`);
      return faults;
    }
    const type = exchange.headers.get('content-type')?.split(';', 1)[0] ?? '';
    const schema = content.get(type);
    if (schema === undefined) return [...faults, `${where}: content type ${type} not in the contract`];
    // The stream's events are checked one by one, as they arrive.
    if (type === 'text/event-stream') return faults;
    return [...faults, ...this.schemaFaults(schema, exchange.body, where)];
  }

  private expected(operation: ContractOperation, status: number): ExpectedResponse {
    const key = `${operation.id} ${status}`;
    const known = this.responses.get(key);
    if (known !== undefined) return known;
    const pointer = this.resolve(
      `/paths/${escape(operation.path)}/${operation.method.toLowerCase()}/responses/${status}`,
    );
    const { content, headers = {} } = this.at(pointer) as { content?: Json; headers?: Record<string, Json> };
    const expected = {
      content:
        content && new Map(Object.keys(content).map((type) => [type, `${pointer}/content/${escape(type)}/schema`])),
      required: Object.entries(headers)
        .filter(([name, header]) => ((this.at(this.resolvePointerOf(pointer, name)) ?? header) as Json)['required'])
        .map(([name]) => name),
    };
    this.responses.set(key, expected);
    return expected;
  }

  /** Faults of one event of a job's stream by the contract. */
  eventFaults(event: { readonly event: string; readonly id: string; readonly data: unknown }): string[] {
    const schemas = this.at('/components/schemas/JobEvent/discriminator/mapping') as Record<string, string>;
    const schema = schemas[event.event];
    if (schema === undefined) return [`There is no event called ${event.event}.`];
    return this.schemaFaults(schema.slice(1), event, `event ${event.event} ${event.id}`);
  }

  private requestFaults(operation: ContractOperation, sent: NonNullable<Exchange['sent']>, where: string): string[] {
    const item = `/paths/${escape(operation.path)}`;
    const faults: string[] = [];
    const schemas = new Map<string, string>();
    for (const list of [`${item}/parameters`, `${item}/${operation.method.toLowerCase()}/parameters`]) {
      for (const index of ((this.at(list) ?? []) as unknown[]).keys()) {
        const pointer = this.resolve(`${list}/${index}`);
        const parameter = this.at(pointer) as { name: string; in: string };
        if (parameter.in === 'query') schemas.set(parameter.name, `${pointer}/schema`);
      }
    }
    // Probes may send anything.
    for (const [name, value] of operation.open ? [] : sent.query) {
      const schema = schemas.get(name);
      if (schema === undefined) faults.push(`${where}: accepted the query field ${name}`);
      else
        faults.push(...this.schemaFaults(schema, asTyped(this.at(this.resolve(schema)), value), `${where} ?${name}`));
    }
    const body = `${item}/${operation.method.toLowerCase()}/requestBody`;
    const { required } = (this.at(body) ?? {}) as { required?: boolean };
    if (sent.body !== undefined && !operation.hasBody) faults.push(`${where}: accepted a body`);
    else if (sent.body !== undefined) {
      faults.push(...this.schemaFaults(`${body}/content/application~1json/schema`, sent.body, `${where} (request)`));
    } else if (required === true) faults.push(`${where}: accepted a request without its body`);
    return faults;
  }

  /** How a value breaks the schema at a JSON pointer of the document. */
  schemaFaults(pointer: string, value: unknown, where: string): string[] {
    let validate = this.validators.get(pointer);
    if (validate === undefined) {
      validate = this.ajv.compile({ $ref: `contract#${encodeURI(pointer)}` });
      this.validators.set(pointer, validate);
    }
    if (validate(value)) return [];
    return (validate.errors ?? []).map(
      (error: ErrorObject) => `${where}: ${error.instancePath || '/'} ${error.message}`,
    );
  }

  /** The value at a JSON pointer (RFC 6901). */
  at(pointer: string): unknown {
    return pointer
      .split('/')
      .slice(1)
      .reduce<unknown>((node, key) => (node as Json | undefined)?.[unescape(key)], this.document);
  }

  /** Follows references until there is a value. */
  resolve(pointer: string): string {
    const reference = (this.at(pointer) as { $ref?: string } | undefined)?.$ref;
    return reference === undefined ? pointer : this.resolve(reference.slice(1));
  }

  private resolvePointerOf(response: string, header: string): string {
    return this.resolve(`${response}/headers/${escape(header)}`);
  }
}

/** A query parameter as the type that its schema asks for. */
function asTyped(schema: unknown, text: string): unknown {
  return (schema as { type?: string }).type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
}

export const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');
const unescape = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~');

function operationsOf(document: Json): ContractOperation[] {
  return Object.entries(document['paths'] as Record<string, Json>).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => ['get', 'post', 'patch', 'put', 'delete'].includes(method))
      .map(([method, raw]) => {
        const operation = raw as { operationId: string; responses: Json; security?: unknown[]; requestBody?: unknown };
        return {
          id: operation.operationId,
          method: method.toUpperCase(),
          path,
          // Literal paths come before parameters: `/jobs/assistant-reply` has no job id.
          pattern: new RegExp(`^${path.replace(/\{[^{}]+\}/g, '(?!assistant-reply$)[^/]+')}$`),
          statuses: Object.keys(operation.responses).map(Number),
          open: operation.security?.length === 0,
          hasBody: operation.requestBody !== undefined,
        };
      }),
  );
}

/** A copy in which every object schema with properties refuses unknown ones. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const isSchema = typeof copy['properties'] === 'object' && (copy['type'] === 'object' || copy['type'] === undefined);
  return isSchema && copy['additionalProperties'] === undefined ? { ...copy, additionalProperties: false } : copy;
}
