/** `vdpalab up`, `down` and `status`: labs in the background. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LabOptions } from '@vdpalab/lab';
import { askDown, askStatus, labNames, labPaths, LauncherError, removeLabDir, runtimeRoot, serveLab, type RunningLab } from '@vdpalab/launcher';
import { programs } from '../programs/index.ts';

/** Name of a lab that was given none. */
export const DEFAULT_NAME = 'lab';

/** Milliseconds a lab's process may stay when everything has ended. */
const LINGER_MS = 2000;

/** How a lab is started. */
export interface UpOptions {
  readonly name: string;
  readonly lab?: string;
  readonly seed?: number;
  readonly fail?: readonly string[];
  /** Ends when its standard input does: it belongs to who started it. */
  readonly untilEof?: boolean;
}

/** Where a command prints. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const program = fileURLToPath(new URL('../../bin/vdpalab.js', import.meta.url));

function labOptions({ lab, seed, fail }: UpOptions): Omit<LabOptions, 'clock'> {
  return { ...(lab === undefined ? {} : { file: lab }), ...(seed === undefined ? {} : { seed }), ...(fail === undefined ? {} : { fail }) };
}

/** Say what was left behind. @returns the exit status */
function tellLeft(left: readonly string[], { err }: Pick<Output, 'err'>): number {
  for (const what of left) err(`left behind: ${what}\n`);
  return left.length === 0 ? 0 : 1;
}

/** `up --foreground`: be the lab's process. One line on standard output tells that it is ready. @returns the exit status */
export async function upForeground(options: UpOptions, { out, err }: Output): Promise<number> {
  const running = await serveLab({ name: options.name, lab: labOptions(options), applets: programs });
  const end = (): void => void running.down();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  if (options.untilEof === true) process.stdin.on('end', end).on('error', end).resume();
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error').on('error', () => {}); // who started it does not listen any more
  logCrashes(running);
  if (running.closed !== null) err(`programs of the host cannot enter: ${running.closed}\n`);
  out(`${options.name} ready\n`);
  const status = tellLeft(await running.ended, { err });
  // A mount that a program has taken along keeps a read waiting; this process's end ends it.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), LINGER_MS).unref();
  return status;
}

/** A lab that nobody looks at leaves what broke it in its log. */
function logCrashes({ paths }: RunningLab): void {
  process.on('uncaughtException', (error) => {
    appendFileSync(paths.log, `${error.stack ?? String(error)}\n`);
    process.exit(70);
  });
}

/** A lab's process that was started. */
export interface StartedLab {
  readonly process: ChildProcess;
  /** What it said before it was ready. */
  readonly said: string;
}

/** Words that put what follows into a user namespace of its own, for who is not root; none where that is refused. */
function userNamespace(): string[] {
  if (process.getuid?.() === 0) return [];
  const words = ['unshare', '-U', '-r', '--'];
  return spawnSync(words[0] as string, [...words.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? words : [];
}

/**
 * Start a lab in a process of its own and wait until it listens.
 *
 * @throws LauncherError with what the process said when it did not come up
 */
export async function startLab(options: UpOptions): Promise<StartedLab> {
  const outside = userNamespace();
  const words = [
    ...outside, process.execPath, program, 'up', '--foreground', '--name', options.name,
    ...(options.lab === undefined ? [] : ['--lab', options.lab]), ...(options.seed === undefined ? [] : ['--seed', String(options.seed)]),
    ...(options.fail ?? []).flatMap((rule) => ['--fail', rule]), ...(options.untilEof === true ? ['--until-eof'] : []),
  ];
  const child = spawn(words[0] as string, words.slice(1), {
    detached: true, stdio: [options.untilEof === true ? 'pipe' : 'ignore', 'pipe', 'pipe'], env: { ...process.env, VDPALAB_RUNTIME_DIR: runtimeRoot(), VDPALAB_USER_NAMESPACE: outside.length > 0 ? '1' : '' },
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => void (said += chunk.toString()));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.stdout?.once('data', () => resolve(null));
    child.once('close', (code) => resolve(code ?? 1));
  });
  if (status !== null) throw new LauncherError(said.trim().replace(/^vdpalab: /, '') || `the lab did not come up (status ${status})`, status);
  return { process: child, said };
}

/** `up`: start a lab and leave it running. */
export async function up(options: UpOptions, { out, err }: Output): Promise<void> {
  const { process: child, said } = await startLab(options);
  err(said);
  out(`lab ${options.name} is up (process ${child.pid})\n`);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
}

/** `down`: end a lab. @returns the exit status: 1 when something was left behind, or when there is no such lab */
export async function down(name: string, io: Output): Promise<number> {
  const paths = labPaths(name);
  const left = await askDown(paths.socket);
  if (left !== null) return tellLeft(left, io);
  if (labNames().includes(name)) {
    removeLabDir(paths);
    io.err(`the process of lab ${name} was gone; what it left on the disk is removed\n`);
  } else io.err(`no lab named ${name} runs\n`);
  return 1;
}

/** `status`: the labs of this user. @returns the exit status: 1 when none runs */
export async function status(io: Output): Promise<number> {
  let found = 1;
  for (const name of labNames()) {
    const lab = await askStatus(labPaths(name).socket);
    if (lab === null) {
      io.out(`${name}: was killed; \`vdpalab down --name ${name}\` clears it away\n`);
      continue;
    }
    found = 0;
    io.out(`${name}: process ${lab.pid}, up ${Math.round(lab.uptime / 1000)} s, ${lab.lab ?? 'no lab file'}, ${lab.modules} modules loaded\n`);
    if (lab.closed !== null) io.out(`  no programs of the host: ${lab.closed}\n`);
    for (const { pid, argv } of lab.attached) io.out(`  process ${pid}: ${argv.join(' ')}\n`);
  }
  if (labNames().length === 0) io.err('no lab is up\n');
  return found;
}
