import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import type { ClaimedJob } from '#jobs/claim.js';
import { ModelFault } from './model-fault.js';

/*
 * An assistant may have a second model, for turns whose first one is overloaded or gone. A turn stays with the model that has made its
 * first step: thoughts are bound to the model that had them, and another model refuses them.
 */

type OfModel = Pick<ClaimedJob, 'model' | 'fallbackModel'>;

/**
 * The job with the model that its attempt begins with. While calls of its own model are held back, that is the fallback model.
 * @param isHeld whether calls of a model are held back
 */
export function withModel<Job extends OfModel & Pick<ClaimedJob, 'steps'>>(
  job: Job,
  isHeld: (model: string) => boolean,
): Job {
  const { model, fallbackModel, steps } = job;
  if (fallbackModel === null) return job;
  const last = steps.at(-1);
  if (last !== undefined) return last.model === fallbackModel ? onFallback(job) : { ...job, fallbackModel: null };
  return isHeld(model) && !isHeld(fallbackModel) ? onFallback(job) : job;
}

/** The job with its fallback model in the place of its model. */
export function onFallback<Job extends OfModel>(job: Job): Job {
  return { ...job, model: job.fallbackModel ?? job.model, fallbackModel: null };
}

/**
 * Whether another model of the same server may answer in the place of this one, which is overloaded, limits our rate, or is gone. If the
 * server cannot be reached, no model of it can.
 */
export function isForFallback(error: unknown): error is ModelFault {
  if (!(error instanceof ModelFault)) return false;
  const { cause, outage, operator } = error;
  return (outage || operator === 'model') && cause instanceof APIError && !(cause instanceof APIConnectionError);
}
