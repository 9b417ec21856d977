/** `vdpalab exec`: a program of the host, unmodified, with the lab for its system. */
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { askDown, askTrap, attach, enter, installedTrap, labPaths, LauncherError, letBegin, trapWords, waitFor, type FamilyName } from '@vdpalab/launcher';
import { DEFAULT_NAME, startLab, type StartedLab } from './up.ts';

/** Descriptor by which a program that is to be trapped says that it can be. */
const CHANNEL = 3;

/** How it is run. */
export interface ExecOptions {
  /** A lab that runs. */
  readonly name?: string;
  /** A lab of its own, from this file. */
  readonly lab?: string;
  readonly seed?: number;
  readonly fail?: readonly string[];
  /** Kinds of system calls that the lab answers. */
  readonly trap?: readonly FamilyName[];
  readonly err: (text: string) => void;
}

/**
 * Run a program in a lab: the named one, the one that is up, or one made for it.
 *
 * @returns the program's exit status
 * @throws LauncherError when the lab is not there or cannot be entered
 */
export async function execProgram(argv: readonly string[], options: ExecOptions): Promise<number> {
  const { name, err, trap = [] } = options;
  const own = options.lab !== undefined || options.seed !== undefined || options.fail !== undefined;
  if (name !== undefined && own) throw new LauncherError('exec: a lab that runs has its lab file, seed and failures: give --name or the others');
  if (!own) {
    const status = await runIn(labPaths(name ?? DEFAULT_NAME), argv, trap);
    if (status !== null) return status;
    if (name !== undefined) throw new LauncherError(`no lab named ${name} runs`);
  }
  const mine = labPaths(`exec-${process.pid}`);
  const started = await startLab({ ...options, name: mine.name, untilEof: true });
  try {
    const status = await runIn(mine, argv, trap);
    if (status === null) throw new LauncherError('the lab went away', 1);
    return status;
  } finally {
    for (const what of (await askDown(mine.socket)) ?? []) err(`left behind: ${what}\n`);
    await ended(started);
  }
}

/** @returns the status; `null` when no such lab runs */
async function runIn(paths: ReturnType<typeof labPaths>, argv: readonly string[], trap: readonly FamilyName[]): Promise<number | null> {
  const words = trap.length === 0 ? [] : trapWords(CHANNEL, trap);
  const attached = await attach(paths.socket, argv);
  if (attached === null) return null;
  try {
    const child = enter(attached.entrance, [...words, ...argv], { bin: paths.bin, trapped: trap, ...(trap.length === 0 ? {} : { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] }) });
    const [status] = await Promise.all([waitFor(child), trap.length === 0 ? null : haveTrapped(paths.socket, child, trap)]);
    return status;
  } finally {
    attached.call.close();
  }
}

/** Let the program begin once the lab answers its calls. @throws LauncherError when the lab cannot: the program ends then */
async function haveTrapped(socket: string, child: ChildProcess, trap: readonly FamilyName[]): Promise<void> {
  const channel = child.stdio[CHANNEL] as Duplex; // asked for
  const installed = await installedTrap(channel);
  if (installed === null) return;
  try {
    await askTrap(socket, installed, trap);
    letBegin(channel);
  } catch (error) {
    channel.destroy();
    throw error;
  }
}

async function ended({ process: child }: StartedLab): Promise<void> {
  child.stdin?.end();
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}
