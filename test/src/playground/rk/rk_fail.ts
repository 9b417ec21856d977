/** Its init returns what it is told to. */
import { defineModule, KernelError, param } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import { errnoName } from '@vdpalab/uapi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_fail.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_fail',
  license: 'GPL',
  params: { err: param.int(-22, { perm: 0o644 }) },
  imports: ['_printk'],

  module_init(k, { params: { err } }) {
    k._printk(6, `rk_fail: init, returning ${err}`);
    if (err < 0) throw new KernelError(errnoName(-err) as ErrnoName, 'rk-fail.init', `told to return ${err}`); // every errno there is has a name
    return { ksymtab: {}, returned: err };
  },
});
