/** Exports a GPL-only and a plain symbol. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_provider.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_provider',
  license: 'GPL',
  imports: ['_printk'],
  exports: ['rk_plain'],
  exportsGpl: ['rk_value'],

  module_init(k) {
    k._printk(6, 'rk_provider: init');
    return {
      ksymtab: { rk_value: () => 42, rk_plain: () => 1 },
      module_exit: () => void k._printk(6, 'rk_provider: exit'),
    };
  },
});
