/** Where running labs have their sockets, logs and mounts: one directory per lab, closed to others. */
import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LauncherError } from './errors.ts';

/** Bytes a Unix socket's path may have, with the final NUL: `sun_path` of unix(7). */
const SUN_PATH = 108;

/** A name that is one path component and needs no quoting. */
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** Files of one running lab. */
export interface LabPaths {
  readonly name: string;
  readonly dir: string;
  /** Control socket. */
  readonly socket: string;
  /** What the lab's process printed. */
  readonly log: string;
  /** Where the lab's file system is mounted, in the namespace of its programs. */
  readonly mount: string;
  /** Programs that act on the lab, for PATH. */
  readonly bin: string;
}

/**
 * The directory that holds those of all labs of this user: `$VDPALAB_RUNTIME_DIR`, `$XDG_RUNTIME_DIR/vdpalab`,
 * `/run/vdpalab` of root, or one under the directory for temporary files.
 */
export function runtimeRoot(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? 0): string {
  const { VDPALAB_RUNTIME_DIR: own, XDG_RUNTIME_DIR: session } = env;
  if (own !== undefined && own !== '') return own;
  if (session !== undefined && session !== '') return join(session, 'vdpalab');
  return uid === 0 ? '/run/vdpalab' : join(tmpdir(), `vdpalab-${uid}`);
}

/**
 * The files of a lab by its name.
 *
 * @throws LauncherError for what is no name, and when the socket's path gets too long
 */
export function labPaths(name: string, root = runtimeRoot()): LabPaths {
  if (!NAME.test(name)) throw new LauncherError(`'${name}' is no name for a lab: letters, digits, '.', '_' and '-', at most 64`);
  const dir = join(root, name);
  const socket = join(dir, 'control');
  if (Buffer.byteLength(socket) >= SUN_PATH) throw new LauncherError(`${socket}: too long for a socket's path; set VDPALAB_RUNTIME_DIR to a shorter one`);
  return { name, dir, socket, log: join(dir, 'log'), mount: join(dir, 'mnt'), bin: join(dir, 'bin') };
}

/**
 * Make the directory of all labs, readable by nobody else.
 *
 * @throws LauncherError when it is there and somebody else's, or open to others
 */
export function makeRuntimeRoot(root = runtimeRoot()): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const stat: Stats = lstatSync(root);
  if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? 0) || (stat.mode & 0o077) !== 0) {
    throw new LauncherError(`${root}: not a directory of this user alone (mode 0700)`);
  }
}

/** Names of the labs that have a directory, running or not. */
export function labNames(root = runtimeRoot()): string[] {
  try {
    return readdirSync(root).filter((name) => NAME.test(name)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Remove what a lab had; the last one takes the directory of all with it. */
export function removeLabDir(paths: LabPaths, root = runtimeRoot()): void {
  rmSync(paths.dir, { recursive: true, force: true });
  if (labNames(root).length > 0) return;
  try {
    rmdirSync(root);
  } catch { /* somebody begins to use it */ }
}
