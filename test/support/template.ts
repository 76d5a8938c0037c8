/** The migrated database that every stack of the tests is a copy of. */
export const TEMPLATE = 'rejoinder_template';
