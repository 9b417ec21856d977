/** What a command of a transcript needs that a lab has not got: programs and modules. */
import type { Verdict } from './run.ts';

/** Names a lab lacks; both empty when all is there. */
export interface CommandNeeds {
  readonly programs: readonly string[];
  readonly modules: readonly string[];
}

/** How shells say that a program is not there. */
const NOT_FOUND = /^stderr: (?:[\w.-]+: )?(?:\d+: )?(\S+): (?:command not found|not found|applet not found)$/;

const plain = (name: string): string => name.replaceAll('-', '_');

/**
 * What a played command lacked.
 *
 * A program counts when the lab's shell did not find it and the recording's did; a module when the command or what it
 * printed names it.
 *
 * @param modules names of modules the recorded machine had and the lab has not
 */
export function commandNeeds(verdict: Verdict, modules: ReadonlySet<string>): CommandNeeds {
  const { wanted } = verdict;
  const programs = new Set<string>();
  for (const line of verdict.out) {
    const name = NOT_FOUND.exec(line)?.[1];
    if (name !== undefined && !wanted.out.includes(line)) programs.add(name);
  }
  const words = [wanted.command, ...wanted.out].join('\n').match(/[\w-]+/g) ?? [];
  return { programs: [...programs], modules: [...new Set(words.map(plain))].filter((word) => modules.has(word)) };
}
