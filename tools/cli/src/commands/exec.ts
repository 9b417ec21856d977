/** `vdpalab exec`: a program of the host, unmodified, with the lab for its system. */
import { askDown, attach, enter, labPaths, LauncherError, waitFor } from '@vdpalab/launcher';
import { DEFAULT_NAME, startLab, type StartedLab } from './up.ts';

/** How it is run. */
export interface ExecOptions {
  /** A lab that runs. */
  readonly name?: string;
  /** A lab of its own, from this file. */
  readonly lab?: string;
  readonly seed?: number;
  readonly fail?: readonly string[];
  readonly err: (text: string) => void;
}

/**
 * Run a program in a lab: the named one, the one that is up, or one made for it.
 *
 * @returns the program's exit status
 * @throws LauncherError when the lab is not there or cannot be entered
 */
export async function execProgram(argv: readonly string[], options: ExecOptions): Promise<number> {
  const { name, err } = options;
  const own = options.lab !== undefined || options.seed !== undefined || options.fail !== undefined;
  if (name !== undefined && own) throw new LauncherError('exec: a lab that runs has its lab file, seed and failures: give --name or the others');
  if (!own) {
    const status = await runIn(labPaths(name ?? DEFAULT_NAME), argv);
    if (status !== null) return status;
    if (name !== undefined) throw new LauncherError(`no lab named ${name} runs`);
  }
  const mine = labPaths(`exec-${process.pid}`);
  const started = await startLab({ ...options, name: mine.name, untilEof: true });
  try {
    const status = await runIn(mine, argv);
    if (status === null) throw new LauncherError('the lab went away', 1);
    return status;
  } finally {
    for (const what of (await askDown(mine.socket)) ?? []) err(`left behind: ${what}\n`);
    await ended(started);
  }
}

/** @returns the status; `null` when no such lab runs */
async function runIn(paths: ReturnType<typeof labPaths>, argv: readonly string[]): Promise<number | null> {
  const attached = await attach(paths.socket, argv);
  if (attached === null) return null;
  try {
    return await waitFor(enter(attached.entrance, argv, { bin: paths.bin }));
  } finally {
    attached.call.close();
  }
}

async function ended({ process: child }: StartedLab): Promise<void> {
  child.stdin?.end();
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}
