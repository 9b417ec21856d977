/** Limits of a process of the host, as /proc/PID/limits tells at the moment they are asked for. */
import { readFileSync } from 'node:fs';
import { RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';

/** The host's kernel has limited the caller's descriptors already. */
const NO_LIMIT = 1 << 20;
/** What kernels start with: MLOCK_LIMIT since Linux 5.16, and before. */
const NOBODYS_CHOICE = new Set(['8388608', '65536']);

/**
 * Soft limits by RLIMIT_*; Infinity for none. That of locked memory does not hold root while it is what the host's kernel
 * started with: on a machine of its own, root lifts it, and in a container nobody can.
 */
export class HostLimits extends Map<number, number> {
  readonly #pid: number;
  readonly #isRoot: () => boolean;

  constructor(pid: number, isRoot: () => boolean) {
    super([[RLIMIT_NOFILE, NO_LIMIT]]);
    this.#pid = pid;
    this.#isRoot = isRoot;
  }

  override get(limit: number): number | undefined {
    if (limit !== RLIMIT_MEMLOCK) return super.get(limit);
    try {
      const [, soft, hard] = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${this.#pid}/limits`, 'latin1')) ?? [];
      if (soft === undefined || soft === 'unlimited') return Number.POSITIVE_INFINITY;
      return soft === hard && NOBODYS_CHOICE.has(soft) && this.#isRoot() ? Number.POSITIVE_INFINITY : Number(soft);
    } catch {
      return 0; // gone
    }
  }
}
