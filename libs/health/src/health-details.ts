/** The part of an app's readiness that the other app does not have. It does not change whether the app is ready. */
export abstract class HealthDetails {
  /** Fields of the answer to `/health/ready`. They are known already, so a probe does not wait for them. */
  abstract healthDetails(): object;
}
