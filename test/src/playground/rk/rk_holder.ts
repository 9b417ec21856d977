/** Takes a reference to itself and never gives it back. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_holder.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_holder',
  license: 'GPL',
  imports: ['rk_plain', '__module_get', 'find_module', '_printk'],

  module_init(k, { THIS_MODULE }) {
    k.rk_plain();
    k.__module_get(THIS_MODULE);
    k._printk(6, `rk_holder: refcount of self now ${k.find_module('rk_holder')?.refcnt}`);
    return { ksymtab: {} };
  },
});
