/** Commands the shell runs itself. */
import type { Builtin } from './builtin.ts';
import { controlBuiltins } from './control.ts';
import { jobBuiltins } from './jobs.ts';
import { outputBuiltins } from './output.ts';
import { readBuiltins } from './read.ts';
import { testBuiltins } from './test.ts';
import { variableBuiltins } from './variables.ts';

/** All builtins by name. */
export const builtins: ReadonlyMap<string, Builtin> = new Map([
  ...controlBuiltins, ...jobBuiltins, ...outputBuiltins, ...readBuiltins, ...testBuiltins, ...variableBuiltins,
]);
