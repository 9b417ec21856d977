/** `/sys/module/kernel` and `/sys/module/module`: parameters of the kernel image itself. Mirrors `kernel/module/main.c` (Linux 6.1). */
import { defineModule, param } from '@vdpalab/abi';
import * as z from 'zod';

/** The parameters' owners, made from a kernel command line. */
export class KernelModules {
  readonly #enforced: { now: boolean };
  /** Loaded after the other built-ins, when there is a place to show them. */
  readonly list: readonly { readonly definition: unknown; readonly args: string }[];

  constructor(cmdline: string) {
    const words = cmdline.split(/\s+/);
    const enforced = { now: words.some((word) => /^module\.sig_enforce(=(1|[yYtT].*|[oO][nN]))?$/.test(word)) };
    this.#enforced = enforced;
    const bool = param.bool(false);
    /** `bool_enable_only`: what is on stays on. */
    const enableOnly = param.custom({
      perm: 0o644, default: enforced.now, bare: true, show: () => (enforced.now ? 'Y' : 'N'),
      schema: bool.schema.refine((on) => on || !enforced.now, { error: 'EROFS' }).pipe(z.transform((on: boolean) => {
        enforced.now = on;
        return on;
      })),
    });
    const module_init = () => ({ ksymtab: {} });
    this.list = [
      { definition: defineModule({ name: 'module', license: 'GPL', params: { sig_enforce: enableOnly }, module_init }), args: '' },
      {
        definition: defineModule({ name: 'kernel', license: 'GPL', params: { module_blacklist: param.charp(null, { perm: 0o400 }) }, module_init }),
        args: words.filter((word) => word.startsWith('module_blacklist=')).join(' '),
      },
    ];
  }

  /** Whether modules must be signed. */
  sigEnforced(): boolean {
    return this.#enforced.now;
  }
}
