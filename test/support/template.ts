/** The migrated database whose copies the stacks use. */
export const TEMPLATE = 'rejoinder_template';
