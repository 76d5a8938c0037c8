/** An assistant's name in paths; the same pattern as `Slug` in openapi.yaml. */
export const SLUG = /^[a-z][a-z0-9-]{0,62}$/;
