import { type DynamicModule, RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA, ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { getMetadataStorage } from 'class-validator';
import type { Contract } from '../support/contract.js';

/** A request's fields, by name: required or optional. */
export type Fields = Readonly<Record<string, 'required' | 'optional'>>;

/** An operation as seen from outside, without the shape of its answers, which every exchange checks. */
export interface SurfaceOperation {
  readonly route: string;
  readonly statuses: readonly number[];
  readonly body: Fields;
  readonly query: Fields;
}

/** Operations by their ids. */
export type Surface = Readonly<Record<string, SurfaceOperation>>;

type Json = Record<string, any>;

/** The operations of `openapi.yaml`. */
export function surfaceOfContract(contract: Contract): Surface {
  return Object.fromEntries(
    contract.operations.map(({ id, method, path, statuses }) => {
      const item = (contract.document['paths'] as Json)[path] as Json;
      const operation = item[method.toLowerCase()] as Json;
      const parameters = [...((item['parameters'] ?? []) as Json[]), ...((operation['parameters'] ?? []) as Json[])];
      const resolved = parameters.map((parameter) =>
        parameter['$ref'] ? (contract.at(contract.resolve(parameter['$ref'].slice(1))) as Json) : parameter,
      );
      const query = resolved.filter((parameter) => parameter['in'] === 'query');
      return [
        id,
        {
          route: `${method} ${path}`,
          statuses: [...statuses].sort(),
          body: bodyFields(contract, operation['requestBody']),
          query: Object.fromEntries(query.map(({ name, required }) => [name, required ? 'required' : 'optional'])),
        },
      ];
    }),
  );
}

function bodyFields(contract: Contract, requestBody: Json | undefined): Fields {
  const reference = requestBody?.['content']?.['application/json']?.['schema']?.['$ref'] as string | undefined;
  if (reference === undefined) return {};
  const schema = contract.at(contract.resolve(reference.slice(1))) as Json;
  // Of several forms, a body has one; a field that not all of them demand is optional.
  const forms = (schema['oneOf'] ?? [schema]) as Json[];
  const names = new Set(forms.flatMap((form) => Object.keys(form['properties'] as Json)));
  const isRequired = (name: string): boolean =>
    forms.every((form) => ((form['required'] ?? []) as string[]).includes(name));
  return Object.fromEntries([...names].map((name) => [name, isRequired(name) ? 'required' : 'optional']));
}

/** The operations that the controllers of a module declare, with those of all modules it imports. */
export function surfaceOfModule(module: DynamicModule): Surface {
  return surfaceOfControllers([...controllersOf(module)]);
}

/** The operations that controllers declare, from the decorators of their handlers. */
export function surfaceOfControllers(controllers: readonly Type[]): Surface {
  return Object.fromEntries(
    controllers.flatMap((controller) => {
      const prefix = Reflect.getMetadata(PATH_METADATA, controller) as string;
      return handlersOf(controller).map((name) => {
        const handler = (controller.prototype as Json)[name] as object;
        const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as number];
        const path = ['', prefix, Reflect.getMetadata(PATH_METADATA, handler) as string]
          .join('/')
          .replace(/\/+/g, '/')
          .replace(/(.)\/$/, '$1')
          .replace(/:(\w+)/g, '{$1}');
        const { operationId } = (Reflect.getMetadata('swagger/apiOperation', handler) ?? {}) as Json;
        const responses = (Reflect.getMetadata('swagger/apiResponse', handler) ?? {}) as Json;
        return [
          (operationId as string | undefined) ?? `${controller.name}.${name}`,
          {
            route: `${method} ${path}`,
            statuses: Object.keys(responses).map(Number).sort(),
            body: fieldsOf(argumentOf(controller, name, RouteParamtypes.BODY)),
            query: fieldsOf(argumentOf(controller, name, RouteParamtypes.QUERY)),
          },
        ];
      });
    }),
  );
}

function controllersOf(module: DynamicModule | Type): Set<Type> {
  const { controllers = [], imports = [] } = 'module' in module ? module : {};
  const own = 'module' in module ? module.module : module;
  const decorated = (key: string): unknown[] => (Reflect.getMetadata(key, own) ?? []) as unknown[];
  const imported = [...imports, ...decorated('imports')] as (DynamicModule | Type)[];
  return new Set([
    ...controllers,
    ...(decorated('controllers') as Type[]),
    ...imported.flatMap((one) => (one ? [...controllersOf(one)] : [])),
  ]);
}

function handlersOf(controller: Type): string[] {
  return Object.getOwnPropertyNames(controller.prototype).filter((name) => {
    const value = Object.getOwnPropertyDescriptor(controller.prototype, name)?.value as object | undefined;
    return typeof value === 'function' && Reflect.hasMetadata(METHOD_METADATA, value);
  });
}

/** The class of the argument that takes the whole body or query. */
function argumentOf(controller: Type, handler: string, kind: RouteParamtypes): Type | undefined {
  const places = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, handler) ?? {}) as Record<string, Json>;
  const place = Object.entries(places).find(([key]) => key.startsWith(`${kind}:`))?.[1];
  if (place === undefined) return undefined;
  const types = Reflect.getMetadata('design:paramtypes', controller.prototype as object, handler) as Type[];
  return types[place['index'] as number];
}

/** The fields of a DTO class, from its validators. */
export function fieldsOf(dto: Type | undefined): Fields {
  if (dto === undefined) return {};
  const fields: Record<string, 'required' | 'optional'> = {};
  for (const { propertyName, type } of getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false)) {
    // `IsOptional` and `ValidateIf`: a condition stands before the field's own checks.
    if (type === 'conditionalValidation') fields[propertyName] = 'optional';
    else fields[propertyName] ??= 'required';
  }
  return fields;
}
