/** The part of an app's readiness that the other app does not have. It changes nothing about whether the app is ready. */
export abstract class HealthDetails {
  /** Fields for the answer to `/health/ready`; at hand, so that a probe waits for nothing. */
  abstract healthDetails(): object;
}
