/** Limits of a process of the host, as /proc/PID/limits tells at the moment they are asked for. */
import { readFileSync } from 'node:fs';
import { RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';

/** The host's kernel has limited the caller's descriptors already. */
const NO_LIMIT = 1 << 20;

/** Soft limits by RLIMIT_*; Infinity for none. */
export class HostLimits extends Map<number, number> {
  readonly #pid: number;

  constructor(pid: number) {
    super([[RLIMIT_NOFILE, NO_LIMIT]]);
    this.#pid = pid;
  }

  override get(limit: number): number | undefined {
    if (limit !== RLIMIT_MEMLOCK) return super.get(limit);
    try {
      const soft = /^Max locked memory\s+(\S+)/m.exec(readFileSync(`/proc/${this.#pid}/limits`, 'latin1'))?.[1];
      return soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
    } catch {
      return 0; // gone
    }
  }
}
