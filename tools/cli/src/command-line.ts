/** One run of the `vdpalab` command: what was wrong with its words or its files is said in a line, and in the exit status. */
import { isKernelError } from '@vdpalab/abi';
import { MountError } from '@vdpalab/fusefs';
import { FaultRuleError, LabBootError, LabFileError } from '@vdpalab/lab';
import { LauncherError } from '@vdpalab/launcher';
import { TranscriptError } from '@vdpalab/shell';
import { CommanderError } from 'commander';
import { UnknownRuleError } from './commands/explain.ts';
import { QuestionError } from './commands/questions.ts';
import { fileErrorText, InputFileError } from './input-file.ts';
import { vdpalab, type CommandIo } from './program.ts';

/** A file, a name or an option is wrong. */
const BAD_INPUT = 2;
/** `EX_SOFTWARE` of sysexits.h. */
const BUG = 70;

const wasMadeToFail = (error: unknown): error is Error => isKernelError(error) && error.rule === 'fault.injected';

/** What is wrong with what was given, one line or several; null when the error is ours. */
function inputFault(error: unknown): string | null {
  const known = error instanceof LabFileError || error instanceof TranscriptError || error instanceof QuestionError
    || error instanceof UnknownRuleError || error instanceof FaultRuleError || error instanceof LauncherError
    || error instanceof MountError || error instanceof InputFileError
    || wasMadeToFail(error) || error instanceof LabBootError && wasMadeToFail(error.cause);
  return known ? error.message : fileErrorText(error);
}

/** Parse the words and do what they say. @param words without node's own two */
export async function commandLine(words: readonly string[], io: CommandIo): Promise<void> {
  try {
    await vdpalab(io).parseAsync(words, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) { // commander has said what is wrong
      io.exit(error.exitCode === 0 ? 0 : BAD_INPUT);
      return;
    }
    const said = inputFault(error);
    io.err(`vdpalab: ${said ?? (error as Error).stack ?? String(error)}\n`);
    io.exit(error instanceof LauncherError ? error.status : said === null ? BUG : BAD_INPUT);
  }
}
