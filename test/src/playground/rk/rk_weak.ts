/** Uses a symbol of rk_provider if there is one. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_weak.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_weak',
  license: 'GPL',
  imports: ['_printk'],
  weakImports: ['rk_value'],

  module_init(k) {
    k._printk(6, k.rk_value === undefined ? 'rk_weak: rk_value absent' : `rk_weak: rk_value present: ${k.rk_value()}`);
    return { ksymtab: {} };
  },
});
