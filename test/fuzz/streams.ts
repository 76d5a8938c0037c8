import { createParser } from 'eventsource-parser';
import type { Contract } from '../support/contract.js';

/** What the data of an event is. */
const EVENTS: Readonly<Record<string, string>> = {
  job: 'Job',
  delta: 'DeltaEvent',
  reset: 'ResetEvent',
  message: 'Message',
  failure: 'Error',
};

/** What is wrong with the events that have come so far, which may be cut within one. */
export function eventFaults(contract: Contract, text: string): string[] {
  const faults: string[] = [];
  const parser = createParser({
    onEvent: ({ event = '', id = '', data }) => {
      const schema = EVENTS[event];
      if (schema === undefined) return void faults.push(`an event called ${event}`);
      if (!/^(\d+\.\d+|end)$/.test(id)) faults.push(`event ${event} has the id ${JSON.stringify(id)}`);
      faults.push(...jsonFaults(contract, schema, data));
    },
    onError: ({ message }) => void faults.push(message),
  });
  const whole = text.slice(0, text.lastIndexOf('\n\n') + 2);
  parser.feed(whole);
  const empty = whole
    .split('\n\n')
    .slice(0, -1)
    .filter((block) => !/^data: /m.test(block));
  return [...faults, ...empty.map((block) => `a block without data: ${JSON.stringify(block)}`)];
}

/** What is wrong with the lines of a whole export. */
export function lineFaults(contract: Contract, text: string): string[] {
  const lines = text.split('\n');
  const ends = lines.pop() === '' && lines.at(-1)?.includes('"type":"end"') === true;
  return [
    ...(ends ? [] : ['the export has no end']),
    ...lines.flatMap((line) => jsonFaults(contract, 'ExportLine', line)),
  ];
}

function jsonFaults(contract: Contract, schema: string, text: string): string[] {
  try {
    return contract.schemaFaults(`/components/schemas/${schema}`, JSON.parse(text), schema);
  } catch {
    return [`a ${schema} that is no JSON: ${text.slice(0, 200)}`];
  }
}
