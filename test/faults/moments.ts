/** The tools of these turns: the first may run twice, the second may not. */
export const TOOLS = ['find_order', 'place_order'] as const;
export type ToolName = (typeof TOOLS)[number];

/** Four steps call both tools, and the fifth is text. */
export const STEPS = [1, 2, 3, 4, 5];
export const WITH_CALLS = STEPS.slice(0, -1);

/** A moment of a turn, at which a worker or a store may end. */
export interface Moment {
  readonly name: string;
  readonly step: number;
  /**
   * `claim`, `commit`, `begin` and `store`: the statement is under way. `asked`: the model has the request, and has sent no byte.
   * `answering`: it has sent a part. `sent`: the tool's server has the request.
   */
  readonly at: 'claim' | 'asked' | 'answering' | 'commit' | 'begin' | 'sent' | 'store';
  /** The tool whose call is `sent`, or whose result is stored. The other call of the step has its result. */
  readonly tool?: ToolName;
  /** The model's answer to the step's call. */
  readonly script?: object;
}

const use = (name: ToolName): object => ({ type: 'tool_use', name, input: {} });
const CALLS = TOOLS.map(use);
const HALF_A_TEXT = ['This is ', 'never said.'];

/** Every moment of a turn. */
export const MOMENTS: readonly Moment[] = [
  { name: 'the claim', step: 1, at: 'claim' },
  ...STEPS.flatMap((step): Moment[] => [
    {
      name: `before the model answers in step ${step}`,
      step,
      at: 'asked',
      script: { hang_before_headers: true },
    },
    {
      name: `in the text of step ${step}`,
      step,
      at: 'answering',
      script: WITH_CALLS.includes(step)
        ? { blocks: [{ type: 'text', pieces: HALF_A_TEXT }, ...CALLS], stop_reason: 'tool_use', stall_after: 1 }
        : { pieces: HALF_A_TEXT, stall_after: 1 },
    },
    { name: `the commit of step ${step}`, step, at: 'commit' },
  ]),
  ...WITH_CALLS.flatMap((step): Moment[] => [
    {
      name: `after the calls of step ${step}, before its end`,
      step,
      at: 'answering',
      // The stand-in stops before the end of a message without text.
      script: { blocks: CALLS, stop_reason: 'tool_use', stall_after: 0 },
    },
    { name: `the begin of the calls of step ${step}`, step, at: 'begin' },
    ...TOOLS.flatMap((tool): Moment[] => [
      { name: `${tool} of step ${step} runs`, step, at: 'sent', tool },
      { name: `the result of ${tool} of step ${step}`, step, at: 'store', tool },
    ]),
  ]),
];

/** The moment as a gate knows it; undefined: no statement is under way. */
export function gateOf({ at, step, tool }: Moment): string | undefined {
  if (at === 'asked' || at === 'answering' || at === 'sent') return undefined;
  return tool === undefined ? `${at} ${step}` : `${at} ${step} ${tool}`;
}

/**
 * The event at the moment. The worker ends, and PostgreSQL has `carried out` the statement that the worker had sent, or it is `lost`; or
 * the worker `lives`, and repeats the statement.
 */
export type Fate = 'carried out' | 'lost' | 'lives';

/** The result of a call, as the model got it. */
export type Told = 'the result' | 'unknown' | `something else: ${string}`;

/** The course of a turn, step by step. */
export interface Course {
  readonly status: string;
  /** How often the model was asked for each step. */
  readonly asked: readonly number[];
  /** How often each tool was called. */
  readonly called: Readonly<Record<ToolName, readonly number[]>>;
  /** The result of each call, as the model got it. */
  readonly told: Readonly<Record<ToolName, readonly Told[]>>;
  /** All other faults, in words. */
  readonly faults: readonly string[];
}

/** The course of a turn that keeps all promises. */
export function promised({ step: of, at, tool }: Moment, fate: Fate): Course {
  const dies = fate !== 'lives';
  const hits = (name: ToolName, step: number): boolean => dies && step === of && (tool === undefined || tool === name);
  // The model's answer is gone unless its commit is carried out.
  const unmade = at === 'asked' || at === 'answering' || (at === 'commit' && fate === 'lost');
  // The call had begun, and its result is gone.
  const unfinished = at === 'sent' || (at === 'store' && fate === 'lost');
  // The call counts as begun, and was not sent.
  const unsent = at === 'begin' && fate === 'carried out';
  return {
    status: 'succeeded',
    asked: STEPS.map((step) => (dies && step === of && unmade ? 2 : 1)),
    called: {
      find_order: WITH_CALLS.map((step) => (hits('find_order', step) && unfinished ? 2 : 1)),
      place_order: WITH_CALLS.map((step) => (hits('place_order', step) && unsent ? 0 : 1)),
    },
    told: {
      find_order: WITH_CALLS.map(() => 'the result'),
      place_order: WITH_CALLS.map((step) =>
        hits('place_order', step) && (unfinished || unsent) ? 'unknown' : 'the result',
      ),
    },
    faults: [],
  };
}
