/** Runs a program of the host in the namespace of a lab. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter } from 'node:path';
import { hasProgram, SYSTEM_PATH } from './find-program.ts';
import type { Entrance } from './protocol.ts';
import { programDirs, TRAPPED } from './shims.ts';
import type { FamilyName } from './trap/family-names.ts';

/** Go to the caller's directory, where the namespace has it, and become the program: 127 and 126 are the shell's. */
const BECOME = 'cd -- "$1" 2>/dev/null || cd /; shift; exec "$@"';

/** How a program is started. */
export interface EnterOptions {
  readonly cwd?: string;
  /** Where the lab's programs are. */
  readonly bin: string;
  /** Kinds of calls that are trapped: the host's own programs that make them are preferred to the lab's. */
  readonly trapped?: readonly FamilyName[];
  readonly env?: NodeJS.ProcessEnv;
  readonly stdio?: StdioOptions;
}

/** Start a program in a namespace. It ends with this process, by SIGKILL. */
export function enter(entrance: Entrance, argv: readonly string[], { cwd = process.cwd(), bin, trapped = [], env = process.env, stdio = 'inherit' }: EnterOptions): ChildProcess {
  const words = [
    'nsenter', '-t', String(entrance.pid), '-m', ...(entrance.user ? ['-U', '--preserve-credentials'] : []), '--',
    ...(hasProgram('setpriv') ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []),
    'sh', '-c', BECOME, 'vdpalab', cwd, ...argv,
  ];
  const { front, back } = programDirs(bin, trapped);
  const path = [...front, env['PATH'] ?? SYSTEM_PATH.join(delimiter), ...(back.length === 0 ? [] : SYSTEM_PATH), ...back].join(delimiter);
  return spawn(words[0] as string, words.slice(1), { stdio, env: { ...env, PATH: path, [TRAPPED]: trapped.join(' '), SYSTEMD_DEVICE_VERIFY_SYSFS: '0' } }); // udevadm else refuses a /sys that is no sysfs
}

/** Signals that a launcher hands on. */
const HANDED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGQUIT', 'SIGCONT'];
/** Of those, the ones a terminal sends to the program itself. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT']);

/** Wait for a program; signals of this process are its. @returns its status as a shell tells it */
export async function waitFor(child: ChildProcess): Promise<number> {
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const handlers = HANDED_ON.map((name) => [name, (): void => {
    if (!terminal || !FROM_TERMINAL.has(name)) child.kill(name);
  }] as const);
  for (const [name, handler] of handlers) process.on(name, handler);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const [name, handler] of handlers) process.off(name, handler);
  }
}
