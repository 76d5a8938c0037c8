/** The values of `thinking.type`. */
export const THINKING_TYPES = ['adaptive', 'between_tools', 'disabled', 'enabled'] as const;
export type ThinkingType = (typeof THINKING_TYPES)[number];

/** The values of `output_config.effort`, from the least to the most. */
export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

export type Lifecycle = 'active' | 'deprecated' | 'retired';

/** A model: its entry in `GET /v1/models`, and properties that show only in its refusals. */
export interface Model {
  readonly id: string;
  /** Its alias. */
  readonly alias?: string;
  readonly display_name: string;
  readonly line: 'haiku' | 'sonnet' | 'opus' | null;
  readonly created_at: string;
  readonly lifecycle: Lifecycle;
  readonly deprecated_at: string | null;
  readonly retires_at: string | null;
  /** The context, in tokens; null: no bound. */
  readonly max_input_tokens: number | null;
  /** The largest `max_tokens`; null: no bound. */
  readonly max_tokens: number | null;
  readonly thinking: readonly ThinkingType[];
  /** Whether it thinks by default. */
  readonly thinksUnasked: boolean;
  readonly efforts: readonly Effort[];
  readonly usualEffort: Effort;
  /** The shortest prompt it caches, in tokens. */
  readonly cacheFrom: number;
  /** Whether it accepts `temperature`, `top_p` and `top_k`. */
  readonly sampling: boolean;
  /** Whether an assistant's message may come last. */
  readonly prefill: boolean;
  /** Whether `tool_choice` may force a tool. */
  readonly forcedTools: boolean;
  /** Whether its thoughts are bound to the model and to everything before them. */
  readonly boundThinking: boolean;
}
