#!/usr/bin/env node
/** The `vdpalab` command. */
import { MountError } from '@vdpalab/fusefs';
import { FaultRuleError, LabFileError } from '@vdpalab/lab';
import { LauncherError } from '@vdpalab/launcher';
import { TranscriptError } from '@vdpalab/shell';
import { UnknownRuleError } from './commands/explain.ts';
import { QuestionError } from './commands/questions.ts';
import { vdpalab } from './program.ts';

/** A file, a name or an option is wrong. */
const BAD_INPUT = 2;
/** `EX_SOFTWARE` of sysexits.h. */
const BUG = 70;

const err = (text: string): void => void process.stderr.write(text);

try {
  await vdpalab({
    out: (text) => void process.stdout.write(text), err, input: process.stdin, exit: (status) => { process.exitCode = status; },
  }).parseAsync();
} catch (error) {
  const isInput = error instanceof LabFileError || error instanceof TranscriptError || error instanceof QuestionError
    || error instanceof UnknownRuleError || error instanceof FaultRuleError || error instanceof LauncherError
    || error instanceof MountError
    || (error as { code?: string }).code === 'ENOENT';
  err(`vdpalab: ${isInput ? (error as Error).message : (error as Error).stack ?? String(error)}\n`);
  process.exitCode = error instanceof LauncherError ? error.status : isInput ? BAD_INPUT : BUG;
}
