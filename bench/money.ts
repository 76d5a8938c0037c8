import {
  type ChatBill,
  type ChatPlan,
  CURRENCY,
  playChat,
  PRICE,
  pricedAssistants,
  TWO_CALLS_TWICE,
} from '../test/support/priced-chats.js';
import { startTools, TOOLS_SECRET } from '../test/support/tools.js';
import { withStack } from './with-stack.js';

/*
 * `npm run bench -- money`: what whole chats cost, by the bill of the stand-in model, which bills as the real one does. It prints the table
 * of docs/costs.md. Ends with 1 when the support chat reads too little from the cache or costs too much, or when the service reports other
 * figures than the model bills.
 */

/** The promises for a support chat of a hundred turns. */
const LEAST_READ = 0.9;
const LARGEST_PART = 0.25;

const MINUTE_MS = 60_000;
const SUPPORT: ChatPlan = { turns: 100, cacheTtl: '5m' };
const AN_HOUR = { cacheTtl: '1h' } as const;
const RARELY = { restMs: 10 * MINUTE_MS };

const PLANS: readonly (readonly [name: string, plan: ChatPlan])[] = [
  ['support, 100 turns', SUPPORT],
  ['… with `cache_ttl: 1h`', { ...SUPPORT, ...AN_HOUR }],
  ['support, a turn every ten minutes', { ...SUPPORT, ...RARELY }],
  ['… with `cache_ttl: 1h`', { ...SUPPORT, ...AN_HOUR, ...RARELY }],
  ['tools, 40 turns of 3 steps, the first two with 2 calls', { turns: 40, cacheTtl: '5m', callsOf: TWO_CALLS_TWICE }],
  [
    'tools, 60 turns, each fifth with 16 calls in one step',
    { turns: 60, cacheTtl: '5m', callsOf: (turn) => (turn % 5 === 0 ? [16] : []) },
  ],
];

const count = (tokens: number): string => Math.round(tokens).toLocaleString('en-US');
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;

function row(name: string, bill: ChatBill): string {
  const { input, full, written, read, output, cost, costWithoutCache } = bill;
  const tokens = [full, written, read].map(count);
  const money = [cost.toFixed(2), costWithoutCache.toFixed(2), percent(cost / costWithoutCache)];
  return `| ${[name, count(bill.calls), ...tokens, percent(read / input), count(output), ...money].join(' | ')} |`;
}

/** The figures of the service that differ from the model's bill. */
function differences({ reported, ...bill }: ChatBill): string[] {
  return (['input', 'read', 'written', 'output', 'cost'] as const)
    .filter((name) => Math.abs(reported[name] - bill[name]) > 1e-6)
    .map((name) => `${name}: the service reports ${reported[name]}, the model bills ${bill[name]}`);
}

const fail = (words: string): void => {
  console.log(words);
  process.exitCode = 1;
};

const tools = await startTools();
const env = { ASSISTANTS_FILE: await pricedAssistants(tools), TOOLS_SECRET };
try {
  await withStack('postgres', { env, ownPostgres: true }, async (stack) => {
    console.log(`Prices of a million tokens: ${JSON.stringify(PRICE)} ${CURRENCY}\n`);
    const heading = [
      'chat',
      'calls',
      'full price',
      'written',
      'read',
      'of all',
      'output',
      CURRENCY,
      'uncached',
      'part',
    ];
    console.log(`| ${heading.join(' | ')} |`);
    console.log('|---|---|---|---|---|---|---|---|---|---|');
    for (const [name, plan] of PLANS) {
      const bill = await playChat(stack, plan);
      console.log(row(name, bill));
      differences(bill).forEach(fail);
      if (plan !== SUPPORT) continue;
      if (bill.read / bill.input < LEAST_READ)
        fail(`Less than ${percent(LEAST_READ)} of the input was read from the cache.`);
      if (bill.cost / bill.costWithoutCache > LARGEST_PART) fail(`The chat costs more than ${percent(LARGEST_PART)}.`);
    }
  });
} finally {
  await tools.stop();
}
