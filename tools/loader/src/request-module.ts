/** Modules the kernel asks user space for. Mirrors `__request_module` in `kernel/module/kmod.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { LoaderHost } from './host.ts';

/** Helpers at work at a time: `MAX_KMOD_CONCURRENT`. */
const MAX_CONCURRENT = 50;
/** How long a request waits for one of them to end, seconds: `MAX_KMOD_ALL_BUSY_TIMEOUT`. */
const BUSY_TIMEOUT = 5;
/** Bytes of a module's name, terminating zero included. */
const MODULE_NAME_LEN = 56;

/** Requests under way. */
export class ModuleRequests {
  readonly #host: LoaderHost;
  #running = 0;

  constructor(host: LoaderHost) {
    this.#host = host;
  }

  /**
   * Run the helper for one name.
   *
   * @returns its wait status: its exit status times 256
   * @throws ENOENT where no helper is set or none can be run
   * @throws ENAMETOOLONG for a name of 56 bytes or more
   * @throws ETIME when all helpers are at work for 5 s
   */
  async request(name: string): Promise<number> {
    const { usermodehelper, wait, printk } = this.#host;
    const path = this.#host.modprobePath?.() ?? '/sbin/modprobe';
    if (path === '' || usermodehelper === undefined) {
      throw new KernelError('ENOENT', 'module.request.helper', `${name}: ${path === '' ? '/proc/sys/kernel/modprobe is empty' : `${path} cannot be run`}`);
    }
    const length = new TextEncoder().encode(name).length;
    if (length >= MODULE_NAME_LEN) {
      throw new KernelError('ENAMETOOLONG', 'module.request.name', `${name}: ${length} bytes, less than ${MODULE_NAME_LEN} are a name`);
    }
    if (this.#running >= MAX_CONCURRENT) {
      printk(4, `request_module: kmod_concurrent_max (0) close to 0 (max_modprobes: ${MAX_CONCURRENT}), for module ${name}, throttling...`);
      await wait({ what: 'one of 50 module requests to end' }, () => this.#running < MAX_CONCURRENT, BUSY_TIMEOUT * 1e9);
      if (this.#running >= MAX_CONCURRENT) {
        printk(4, `request_module: modprobe ${name} cannot be processed, kmod busy with ${MAX_CONCURRENT} threads for more than ${BUSY_TIMEOUT} seconds now`);
        throw new KernelError('ETIME', 'module.request.busy', `${name}: ${this.#running} requests are under way`);
      }
    }
    this.#running++;
    try {
      return await usermodehelper([path, '-q', '--', name]) * 256;
    } finally {
      this.#running--;
      this.#host.wake();
    }
  }
}
