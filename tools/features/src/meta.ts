/** Key under which a test's meta carries its claims from the worker to the reporter. */
export const COVERS_META = 'vdpalabCovers';
