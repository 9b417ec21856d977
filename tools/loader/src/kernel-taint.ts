/** The kernel's taints and the lines that are printed once a boot. Mirrors `add_taint` in `kernel/panic.c` (Linux 6.1). */
import type { LoaderHost } from './host.ts';
import type { LoadedModule } from './loaded.ts';
import { TAINT } from './taint.ts';

/** Taints after which lock debugging is switched off: `LOCKDEP_NOW_UNRELIABLE`. */
const UNRELIABLE: readonly number[] = [TAINT.PROPRIETARY_MODULE, TAINT.FORCED_MODULE, TAINT.FORCED_RMMOD];

/** Taint bits of one kernel. */
export class KernelTaint {
  readonly #host: LoaderHost;
  readonly #said = new Set<string>();
  bits = 0;

  constructor(host: LoaderHost) {
    this.#host = host;
  }

  has(bit: number): boolean {
    return (this.bits & (1 << bit)) !== 0;
  }

  /** Taint the kernel, and the module when one is given. */
  add(bit: number, module?: LoadedModule): void {
    if (UNRELIABLE.includes(bit)) this.once('lockdep', 4, 'Disabling lock debugging due to kernel taint');
    this.bits |= 1 << bit;
    if (module !== undefined) module.taints |= 1 << bit;
  }

  /** Log a line the first time only. @param key what counts as the same line */
  once(key: string, level: number, text: string): void {
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#host.printk(level, text);
  }

  /** `try_to_force_load`: load without the information, at the price of taint F. @returns whether that is allowed */
  forceLoad(module: LoadedModule, reason: string): boolean {
    if (this.#host.forceLoad === false) return false;
    if (!this.has(TAINT.FORCED_MODULE)) this.#host.printk(4, `${module.name}: ${reason}: kernel tainted.`);
    this.add(TAINT.FORCED_MODULE, module);
    return true;
  }
}
