/**
 * The mount namespace of a lab, and the process that keeps it.
 *
 * A small bash makes the namespace, mounts what programs are to see in it, and waits. It is told that the lab lives by
 * a line now and then; when none comes, because the lab was killed or hangs, it ends whatever is in the namespace and
 * takes the mounts and the lab's directory away. The namespace is nobody else's, so mounts end with its last process.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { LauncherError } from './errors.ts';
import { members, mountNamespace } from './namespace.ts';
import type { Entrance } from './protocol.ts';
import type { LabPaths } from './runtime-dir.ts';

/** Seconds between two signs of life. */
const BEAT = 2;
/** Seconds without one after which the lab is taken for dead. */
const PATIENCE = 20;

/** Arguments: how long to wait, the lab's directory, then the script that mounts. The working directory is the host's /proc, whatever is mounted over it. */
const SCRIPT = `
cd /proc || exit
exec 4<>/dev/null || exit
patience=$1 dir=$2
set -e
eval "$3"
set +e
exec 3<&-
echo ready
exec >&4 2>&4
while read -t "$patience" -r line && [ "$line" != end ]; do :; done
others() { pids=; for p in [0-9]*; do [ "$p" != $$ ] && [ "$p/ns/mnt" -ef "$$/ns/mnt" ] && pids="$pids $p"; done; [ -n "$pids" ]; }
trap '' HUP TERM PIPE
[ "$line" = end ] || { umount -f "$dir/mnt"; umount -l "$dir/mnt"; }
others && kill -HUP $pids
for i in 1 2 3 4 5; do others || break; sleep 0.02; done
for i in 1 2 3 4 5; do others || break; kill -KILL $pids; sleep 0.02; done
[ "$line" = end ] || rm -rf --one-file-system "$dir"
`;

/** How a namespace is made. */
export interface KeeperOptions {
  /** A script for bash: what it mounts, with the open /dev/fuse as descriptor 3. It fails when the namespace cannot be. */
  readonly mounts: string;
  /** An open /dev/fuse. */
  readonly fuse?: number;
  /** Called when the script says `mounted`: the file system may be served. */
  readonly onMounted?: () => void;
  /** Whether programs are to enter a user namespace too: this process is in it already. */
  readonly user?: boolean;
}

/** A namespace that is there. */
export class Keeper {
  readonly #child: ChildProcess;
  readonly #namespace: string;
  readonly #user: boolean;
  readonly #beat: NodeJS.Timeout;
  /** Settles when the keeper has ended, asked or not. */
  readonly ended: Promise<void>;

  private constructor(child: ChildProcess, namespace: string, user: boolean) {
    this.#child = child;
    this.#namespace = namespace;
    this.#user = user;
    this.#beat = setInterval(() => child.stdin?.write('alive\n'), BEAT * 1000);
    this.#beat.unref();
    this.ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      child.once('exit', () => resolve());
    });
  }

  /** Make a namespace. @throws LauncherError when it cannot be: the programs, the rights or the file system are not there */
  static async start(paths: LabPaths, { mounts, fuse, user = false, onMounted }: KeeperOptions): Promise<Keeper> {
    const child = spawn('unshare', ['-m', '--propagation', 'private', '--', 'bash', '-c', SCRIPT, 'vdpalab-keeper', String(PATIENCE), paths.dir, mounts], {
      stdio: ['pipe', 'pipe', 'pipe', fuse ?? 'ignore'], env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: 'C' }, detached: true,
    });
    child.stdin?.on('error', () => {}); // it has ended: 'exit' tells
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4096);
    });
    const ready = await new Promise<boolean>((resolve) => {
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('mounted\n')) onMounted?.();
        if (text.includes('ready\n')) resolve(true);
      });
      child.once('exit', () => resolve(false));
      child.once('error', ({ message }) => {
        said = message;
        resolve(false);
      });
    });
    const namespace = ready ? await mountNamespace(child.pid ?? 0) : null;
    if (namespace === null) throw new LauncherError(`no namespace for programs: ${said.trim().replaceAll('\n', '; ') || 'its keeper ended'}`);
    child.unref();
    return new Keeper(child, namespace, user);
  }

  /** Where programs enter. @throws LauncherError when the keeper was killed */
  get entrance(): Entrance {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) throw new LauncherError('the namespace of this lab is gone', 1);
    return { pid, user: this.#user };
  }

  /** End the namespace with all that is in it. @returns what was */
  async stop(): Promise<string[]> {
    clearInterval(this.#beat);
    const child = this.#child;
    const inside = await members(this.#namespace, child.pid ?? 0);
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.stdin?.end('end\n');
      await gone;
    } else {
      for (const { pid } of inside) kill(pid);
    }
    return inside.map(({ pid, comm }) => `process ${pid} (${comm}) was still in the lab's namespace`);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch { /* it has ended */ }
}
