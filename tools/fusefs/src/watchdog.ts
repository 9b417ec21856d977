/**
 * A child that takes a mount away when its server has died or answers nobody any more.
 *
 * A server that makes a synchronous call on its own mount waits for itself: in state D, where no signal reaches it, with
 * everybody who looks at the mount behind it. Only an aborted connection ends that, and only another process can abort.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Beats in each span that the watchdog waits for one. */
const BEATS = 4;

/**
 * Reads beats. Without one for so many seconds, or at the end of its input, it aborts the connection and takes the mount away.
 * `$1` is the directory, `$2` the seconds.
 */
const SCRIPT = 'while IFS= read -r -t "$2" _; do :; done; umount -i -f -- "$1"; umount -i -l -- "$1"';

/** A running watchdog. */
export interface Watchdog {
  /** Call it off: the mount is gone, or is taken away in another way. */
  readonly stop: () => Promise<void>;
}

/**
 * Start one.
 *
 * @param patience seconds the event loop may stand still
 */
export function startWatchdog(dir: string, patience: number): Watchdog {
  // A group of its own: Ctrl-C at a terminal reaches the server, which unmounts in its own way.
  const child: ChildProcess = spawn('bash', ['-c', SCRIPT, 'vdpalab-watchdog', dir, `${patience}`], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const { stdin } = child;
  stdin?.on('error', () => {}); // it is gone, and with it the mount
  child.on('error', () => {});
  const beat = setInterval(() => void stdin?.write('\n'), (patience * 1000) / BEATS);
  beat.unref();
  child.unref();
  (stdin as unknown as { unref?: () => void } | null)?.unref?.(); // a socket has one, which the type does not say
  return {
    stop: async () => {
      clearInterval(beat);
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      const gone = once(child, 'exit');
      child.ref();
      child.kill('SIGKILL');
      await gone;
    },
  };
}
