/** Mounting and unmounting, by mount(8) and umount(8). */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { bestReader, deviceFlags } from './reader.ts';
import type { ReaderKind } from './reader.ts';
import { FuseSession } from './session.ts';
import type { FuseHandlers } from './session.ts';
import { startWatchdog } from './watchdog.ts';

/** Seconds the server's event loop may stand still before the watchdog takes the mount away. */
const PATIENCE = 10;

/** How a file system is mounted. */
export interface MountOptions {
  /** What /proc/mounts shows as the source; `vdpalab` when absent. */
  readonly source?: string;
  /** Seconds the server may stand still; 10 when absent. */
  readonly patience?: number;
  /** How requests are waited for; when absent by the event loop, where koffi is installed. */
  readonly reader?: ReaderKind;
  /** Hears of faults. */
  readonly onBug: (text: string) => void;
}

/** The mount cannot be made, for a reason outside of the program. */
export class MountError extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'MountError';
  }
}

/** A file system that is served. */
export interface Mounted {
  /** Absolute path. */
  readonly dir: string;
  /** Settles when the mount is gone and everything behind it is let go, whoever took it away. */
  readonly closed: Promise<void>;
  /** Take the mount away; callers that are inside get an error. */
  readonly unmount: () => Promise<void>;
}

/** Directories this process serves. A look into one of them would wait for this very thread. */
const served = new Set<string>();

/**
 * Mount a file system on an empty directory and serve it until it is unmounted.
 *
 * The process must not touch the mount by a synchronous call, nor start a child with its working directory there.
 *
 * @throws MountError when the directory is not empty, FUSE is missing, or mounting is not permitted
 */
export async function mountFuse(directory: string, handlers: FuseHandlers, options: MountOptions): Promise<Mounted> {
  const dir = resolve(directory);
  checkDirectory(dir);
  const reader = options.reader ?? bestReader();
  const fd = openDevice(reader);
  let session: FuseSession;
  try {
    session = new FuseSession(fd, reader, handlers, { onBug: options.onBug });
    await attach(fd, dir, options.source ?? 'vdpalab');
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  served.add(dir);
  session.start();
  const watchdog = startWatchdog(dir, options.patience ?? PATIENCE);
  const closed = session.ended.then(async () => {
    if (isMounted(dir)) await run('umount', ['-i', '-l', '--', dir]); // the connection was aborted: the mount is still there
    await watchdog.stop();
    served.delete(dir);
    closeSync(fd);
  });
  return { dir, closed, unmount: () => unmount(dir, closed) };
}

/** Whether the directory is a mount, without looking at it. */
export function isMounted(dir: string): boolean {
  const escaped = dir.replaceAll(/[\\ \t\n]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return readFileSync('/proc/self/mounts', 'utf8').split('\n').some((line) => line.split(' ')[1] === escaped);
}

/** Politely first; then without asking who is inside. */
async function unmount(dir: string, closed: Promise<unknown>): Promise<void> {
  if (!served.has(dir)) return void (await closed);
  const polite = await run('umount', ['-i', '--', dir]);
  if (polite.status !== 0 && served.has(dir)) {
    await run('umount', ['-i', '-f', '--', dir]);
  }
  await closed;
}

function checkDirectory(dir: string): void {
  for (const other of served) {
    if (dir === other || dir.startsWith(other + sep)) throw new MountError(`${dir}: is inside ${other}, which this process serves`);
  }
  let names: readonly string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTCONN') throw new MountError(`${dir}: a mount whose server has died is there; take it away with: umount -l ${dir}`);
    if (code === 'ENOENT') throw new MountError(`${dir}: there is no such directory`);
    if (code === 'ENOTDIR') throw new MountError(`${dir}: not a directory`);
    throw new MountError(`${dir}: ${(error as Error).message}`);
  }
  if (names.length > 0) throw new MountError(`${dir}: not empty`);
}

function openDevice(reader: ReaderKind): number {
  try {
    return openSync('/dev/fuse', deviceFlags(reader));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new MountError('/dev/fuse is missing: load the fuse module, or give the container the device');
    if (code === 'EACCES' || code === 'EPERM') throw new MountError('/dev/fuse may not be opened: be root, or give the container the device');
    throw new MountError(`/dev/fuse: ${(error as Error).message}`);
  }
}

/** Connect an open /dev/fuse with a directory. mount(8) inherits the open file, which is what the kernel attaches. */
async function attach(fd: number, dir: string, source: string): Promise<void> {
  const ids = `user_id=${process.getuid?.() ?? 0},group_id=${process.getgid?.() ?? 0}`;
  const options = `fd=3,rootmode=40000,${ids},allow_other,nosuid,nodev`;
  const { status, stderr } = await run('mount', ['-i', '-n', '-t', 'fuse', '-o', options, '--', source, dir], fd);
  if (status === 0) return;
  const reason = stderr.trim().split('\n')[0] ?? '';
  throw new MountError(/superuser|permission|not permitted/i.test(reason)
    ? `${dir}: mounting is not permitted (${reason}); be root, or begin with: unshare -Urm`
    : `${dir}: ${reason === '' ? `mount(8) exits with ${status}` : reason}`);
}

/** Run a program without ever blocking: it may well look at what this process serves. */
function run(program: string, argv: readonly string[], fd?: number): Promise<{ status: number; stderr: string }> {
  return new Promise((resolvePromise) => {
    const child = spawn(program, argv, { stdio: ['ignore', 'ignore', 'pipe', ...(fd === undefined ? [] : [fd])] });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (error) => resolvePromise({ status: 127, stderr: error.message }));
    child.on('close', (status) => resolvePromise({ status: status ?? 128, stderr }));
  });
}
