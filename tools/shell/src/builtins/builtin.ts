/** What a command of the shell itself is. */
import type { Shell } from '../shell.ts';

/** A builtin. @param argv with its name. @returns its status */
export type Builtin = (shell: Shell, argv: readonly string[]) => Promise<number>;
