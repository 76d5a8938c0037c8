import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { IsOptional, IsString } from 'class-validator';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { METADATA_KEY_LENGTH, METADATA_KEYS, METADATA_VALUE_LENGTH } from '#contract/metadata.js';
import { LARGEST_PAGE } from '#contract/queries.dto.js';
import { CONTRACT_FILE } from '#process/root.js';
import { LONGEST_MESSAGE, LONGEST_TITLE, TurnRequest } from '#contract/requests.dto.js';
import { CATALOGUE } from '#errors/catalogue.js';
import { AppModule } from '../../apps/api/src/app.module.js';
import type { Connections } from '../../apps/api/src/http/connections.js';
import { JobsController } from '../../apps/api/src/jobs/jobs.controller.js';
import { readSettings } from '#settings/settings.js';
import { Contract, escape } from '../support/contract.js';
import { parseEvents } from '../support/events.js';
import { drift } from './drift.js';
import { fieldsOf, type Surface, surfaceOfContract, surfaceOfControllers, surfaceOfModule } from './surface.js';

const settings = readSettings('api', { DATABASE_URL: 'postgres://nowhere', JWT_SECRET: 'x'.repeat(32) });
const contract = new Contract();
const operation = (surface: Surface, id: string): Surface[string] => {
  const found = surface[id];
  if (found === undefined) throw new Error(`There is no ${id}.`);
  return found;
};
const declared = surfaceOfContract(contract);
const done = surfaceOfModule(AppModule.forRoot(settings, {} as Connections));
const text = readFileSync(CONTRACT_FILE, 'utf8');
const changed = (from: string, to: string) => {
  expect(text).toContain(from);
  return surfaceOfContract(new Contract(parse(text.replace(from, to))));
};

describe('contract and code', () => {
  it('agree: every route, status, body field and query field, in both directions', () => {
    expect(Object.keys(done).length).toBeGreaterThan(10);
    expect(drift(declared, done)).toEqual([]);
  });

  it('disagree when a route is removed from the code', () => {
    const { createTurn: _, ...rest } = done;
    expect(drift(declared, rest)).toEqual([
      'createTurn (POST /api/v1/chats/{chat_id}/turns): in the contract, not in the code',
    ]);
    expect(Object.keys(surfaceOfControllers([JobsController]))).toEqual(['getJob', 'followJob', 'updateJob']);
  });

  it('disagree when a route is removed from the contract, or renamed there', () => {
    const { updateJob: _, ...rest } = declared;
    expect(drift(rest, done)).toEqual(['updateJob (PATCH /api/v1/jobs/{job_id}): in the code, not in the contract']);
    const renamed = changed('/api/v1/chats/{chat_id}/turns:', '/api/v1/chats/{chat_id}/turn:');
    expect(drift(renamed, done)).toEqual([expect.stringMatching(/^createTurn: route is .*\/turn".*\/turns"/)]);
  });

  it('disagree when a DTO gets a field, loses one, or makes one optional', () => {
    class WithTone extends TurnRequest {
      @IsString()
      tone: string;
    }
    class Lenient extends TurnRequest {
      @IsOptional()
      declare user_message: string;
    }
    const withBody = (body: ReturnType<typeof fieldsOf>) =>
      drift(declared, { ...done, createTurn: { ...operation(done, 'createTurn'), body } });
    expect(withBody(fieldsOf(TurnRequest))).toEqual([]);
    expect(withBody(fieldsOf(WithTone))).toEqual([expect.stringMatching(/^createTurn: body .*"tone":"required"/)]);
    expect(withBody(fieldsOf(Lenient))).toEqual([expect.stringMatching(/^createTurn: body /)]);
    expect(withBody({ user_message: 'required' })).toEqual([expect.stringMatching(/^createTurn: body /)]);
  });

  it('disagree when a status or a query field changes in the contract', () => {
    const gone = changed(
      "        '201':\n          description: The chat was created.",
      "        '203':\n          description: The chat was created.",
    );
    expect(drift(gone, done)).toEqual([expect.stringMatching(/^openChat: statuses is .*203/)]);
    const listChats = operation(declared, 'listChats');
    const query = { ...listChats.query, sort: 'optional' as const };
    expect(drift({ ...declared, listChats: { ...listChats, query } }, done)).toEqual([
      expect.stringMatching(/^listChats: query is .*sort/),
    ]);
  });

  it('disagree when the service accepts what the contract forbids', () => {
    const accepted = (query: string, body?: object): string[] =>
      contract.faults({
        method: body ? 'POST' : 'GET',
        path: body ? '/api/v1/jobs/assistant-reply' : '/api/v1/chats',
        status: body ? 202 : 200,
        headers: new Headers({
          'content-type': 'application/json',
          ...Object.fromEntries(
            ['x-request-id', 'cache-control', 'vary', 'etag', 'location', 'retry-after'].map((name) => [name, 'x']),
          ),
        }),
        body: contract.at(`/components/examples/${body ? 'QueuedJob' : 'ChatPage'}/value`),
        sent: { query: new URLSearchParams(query), body },
      });
    const id = '01936d3c-6b2e-7c4a-9f3e-2f1d5a7b8c90';
    expect(accepted('limit=5&status=active')).toEqual([]);
    expect(accepted('', { chat_id: id })).toEqual([]);
    expect(accepted('limit=500')).toEqual([expect.stringContaining('must be <= 100')]);
    expect(accepted('sort=up')).toEqual([expect.stringContaining('accepted the query field sort')]);
    expect(accepted('', { chat_id: 'x' })).toEqual([expect.stringContaining('must match format "uuid"')]);
    expect(accepted('', { chat_id: id, tone: 'rude' })).toEqual([expect.stringContaining('additional properties')]);
  });

  it('name the same error codes, statuses and bounds', () => {
    const schema = (name: string): any => contract.at(`/components/schemas/${name}`);
    expect(Object.keys(CATALOGUE).sort()).toEqual([...schema('ErrorCode').enum].sort());
    expect(schema('UserText')).toMatchObject({ minLength: 1, maxLength: LONGEST_MESSAGE });
    for (const request of ['OpenChatRequest', 'UpdateChatRequest']) {
      expect(schema(request).properties.title).toMatchObject({ minLength: 1, maxLength: LONGEST_TITLE });
    }
    expect(schema('Metadata')).toMatchObject({
      maxProperties: METADATA_KEYS,
      propertyNames: { maxLength: METADATA_KEY_LENGTH },
      additionalProperties: { maxLength: METADATA_VALUE_LENGTH },
    });
    const limits = contract.operations.flatMap(({ path }) =>
      ((contract.at(`/paths/${escape(path)}/get/parameters`) ?? []) as any[])
        .map((parameter) => (parameter.$ref ? contract.at(parameter.$ref.slice(1)) : parameter))
        .filter(({ name }) => name === 'limit'),
    );
    expect(limits.length).toBeGreaterThan(1);
    for (const { schema } of limits) expect(schema).toMatchObject({ minimum: 1, maximum: LARGEST_PAGE });
  });
});

describe('the contract', () => {
  it('is a valid OpenAPI 3.1 document', async () => {
    const result = await new Validator().validate(parse(text));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
  });

  it('gives no schema the name of a global type, which a generated type would shadow', () => {
    const libraries = ['es5', 'es2015.core', 'es2015.promise', 'dom', 'webworker'];
    const taken = libraries.flatMap((name) => {
      const declared = readFileSync(`node_modules/typescript/lib/lib.${name}.d.ts`, 'utf8');
      return [...declared.matchAll(/^(?:interface|declare var|type) (\w+)/gm)].map(([, type]) => type);
    });
    expect(taken).toEqual(expect.arrayContaining(['Error', 'Promise', 'MessageEvent', 'Response']));
    const names = Object.keys(contract.at('/components/schemas') as object);
    expect(names.filter((name) => taken.includes(name))).toEqual([]);
  });

  it('declares every parameter that its paths name, and before all others', () => {
    for (const { id, path, method } of contract.operations) {
      const list = contract.at(`/paths/${escape(path)}/${method.toLowerCase()}/parameters`) as any[] | undefined;
      const parameters = (list ?? []).map((one) => (one.$ref ? contract.at(one.$ref.slice(1)) : one));
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect([id, parameters.slice(0, named.length).map(({ name }) => name)]).toEqual([id, named]);
    }
  });

  it('has an example of every answer and every request body, and each fits its schema', async () => {
    const faults: string[] = [];
    let seen = 0;
    for (const { id, method, path, statuses } of contract.operations) {
      const base = `/paths/${escape(path)}/${method.toLowerCase()}`;
      const places = statuses.map((status) => `${base}/responses/${status}`);
      if (contract.at(`${base}/requestBody`)) places.push(`${base}/requestBody`);
      for (const place of places) {
        const pointer = contract.resolve(place);
        const { content } = contract.at(pointer) as { content?: Record<string, any> };
        if (content === undefined) {
          if (!/\/(204|304)$/.test(place)) faults.push(`${id} ${place}: no content`);
          continue;
        }
        for (const [type, { examples }] of Object.entries(content)) {
          const names = Object.keys(examples ?? {});
          if (names.length === 0) faults.push(`${id} ${place}: no example`);
          for (const name of names) {
            const media = `${pointer}/content/${escape(type)}`;
            const { value, description = '' } = contract.at(contract.resolve(`${media}/examples/${name}`)) as {
              value: unknown;
              description?: string;
            };
            faults.push(...contract.schemaFaults(`${media}/schema`, value, `${id} ${place} ${name}`));
            if (type === 'text/event-stream') {
              const events = [];
              const [, stream = ''] = /^```text\n([\s\S]*?)```$/m.exec(description) ?? [];
              for await (const event of parseEvents(new Blob([`${stream}\n`]).stream())) events.push(event);
              if (!events.some(({ data }) => isDeepStrictEqual(data, value))) faults.push(`${name}: of another stream`);
              const last = events.findLastIndex(({ event }) => event === 'reset');
              const text = events.slice(last + 1).map(({ event, data }) => (event === 'delta' ? data.text : ''));
              const message = events.find(({ event }) => event === 'message')?.data;
              if (message && !message.content.endsWith(text.join('')))
                faults.push(`${name}: another text than its message`);
              if (events.at(-1)?.id !== 'end') faults.push(`${name}: does not end`);
              continue;
            }
            const code = (value as { code?: keyof typeof CATALOGUE }).code;
            const status = Number(place.split('/').at(-1));
            if (status >= 400 && code && CATALOGUE[code]?.status !== status) faults.push(`${place} ${name}: ${code}`);
            seen += 1;
          }
        }
      }
    }
    expect(faults).toEqual([]);
    expect(seen).toBeGreaterThan(100);
  });
});
