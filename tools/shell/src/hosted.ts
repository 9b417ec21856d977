/** One program of the lab, its standard streams in the host's hands. */
import type { FileOperations } from '@vdpalab/fs';
import { Killed, type UserProcess } from '@vdpalab/lab';
import { O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import { runProgram } from './launch.ts';
import { Shell, type AppletTable } from './shell.ts';
import { exitStatus, waitStatus } from './signals.ts';
import { ShellState } from './state.ts';
import type { System } from './system.ts';

/** What a hosted program is given. */
export interface HostedOptions {
  /** Programs that are there. */
  readonly applets: AppletTable;
  /** Its environment, complete. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: FileOperations;
  readonly stdout: FileOperations;
  readonly stderr: FileOperations;
}

/** How it ended. */
export interface HostedEnd {
  /** As shells tell it: of a signal 128 and its number. */
  readonly status: number;
  /** The signal that ended it; `null`: none did. */
  readonly signal: number | null;
}

/**
 * Run a program in a process made for it, whose descriptors 0 to 2 are free. Inside a task of it.
 *
 * @param argv name and arguments; not empty
 * @returns how it ended; the status is 127 when there is no such program
 */
export async function runHosted(system: System, p: UserProcess, argv: readonly string[], options: HostedOptions): Promise<HostedEnd> {
  const getfd = system.symbol('anon_inode_getfd');
  getfd(p.proc, '[stdin]', options.stdin, null, O_RDONLY);
  getfd(p.proc, '[stdout]', options.stdout, null, O_WRONLY);
  getfd(p.proc, '[stderr]', options.stderr, null, O_WRONLY);
  const state = new ShellState(p, 'bash');
  for (const [name, value] of Object.entries(options.env)) state.set(name, value, true);
  state.set('IFS', ' \t\n');
  const shell = new Shell(state, system, options.applets);
  try {
    return { status: exitStatus(waitStatus(await shell.guarded(() => runProgram(shell, argv)))), signal: null };
  } catch (error) {
    if (error instanceof Killed) return { status: exitStatus(error.signal), signal: error.signal };
    throw error;
  }
}
