/** Key under which a test's meta carries the rules it met from the worker to the reporter. */
export const RULES_META = 'vdpalabRules';
