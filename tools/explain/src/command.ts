/** A command of a shell, explained: what the kernel refused it, and what its program refused by itself. */
import type { CommandRecord, Refusal } from '@vdpalab/lab';
import { explainError, explanationLines } from './explain.ts';
import { toolLines, toolsSaid } from './tools-said.ts';
import type { LabView } from './view.ts';

/** Where a refusal comes up that no program tells of by itself, or only in part. */
const ALWAYS = new Set(['netlink', 'probe', 'init_module', 'delete_module']);

/**
 * Refusals of a command that a person asks about: what its programs told of, and what went into replies or the log;
 * not what they only tried.
 *
 * @param wasTold whether a program told its user of a refusal
 */
export function relevant(refusals: readonly Refusal[], wasTold: (error: object) => boolean): Refusal[] {
  const seen = new Set<string>();
  return refusals.filter((refusal) => {
    if (!ALWAYS.has(refusal.call) && !wasTold(refusal.error)) return false;
    const key = `${refusal.error.rule} ${refusal.error.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** Explain a command. @returns lines; empty when nothing refused it */
export async function explainCommand(command: CommandRecord, view: LabView, wasTold: (error: object) => boolean): Promise<string[]> {
  const told = relevant(command.refusals, wasTold);
  const out: string[] = [];
  for (const { call, error, comm } of told) out.push(...explanationLines(`${comm}: ${call}`, await explainError(error, view)));
  if (told.length === 0) for (const said of toolsSaid(command.stderr)) out.push(...toolLines(said, view));
  if (out.length > 0 || command.status === null || command.status === 0) return out;
  const last = command.refusals.at(-1); // the program kept it to itself
  if (last !== undefined) return explanationLines(`${last.comm}: ${last.call}`, await explainError(last.error, view));
  return [`exit ${command.status}: the kernel refused nothing${command.stderr === '' ? ', and the program said nothing: a condition was not met, or an argument was missing' : ''}`];
}
