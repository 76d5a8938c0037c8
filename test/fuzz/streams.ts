import { createParser } from 'eventsource-parser';
import type { Contract } from '../support/contract.js';

/** The faults of the events so far. The text may end within one. */
export function eventFaults(contract: Contract, text: string): string[] {
  const faults: string[] = [];
  const parser = createParser({
    onEvent: ({ event = '', id = '', data }) => {
      const parsed = parse(data);
      if (parsed === undefined) faults.push(`an event ${event} that is no JSON: ${data.slice(0, 200)}`);
      else faults.push(...contract.eventFaults({ event, id, data: parsed }));
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

/** The faults of the lines of a whole export. */
export function lineFaults(contract: Contract, text: string): string[] {
  const lines = text.split('\n');
  const ends = lines.pop() === '' && lines.at(-1)?.includes('"type":"end"') === true;
  return [
    ...(ends ? [] : ['the export has no end']),
    ...lines.flatMap((line) => {
      const parsed = parse(line);
      if (parsed === undefined) return [`a line that is no JSON: ${line.slice(0, 200)}`];
      return contract.schemaFaults('/components/schemas/ExportLine', parsed, 'line');
    }),
  ];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
