/** Uses a symbol of rk_provider. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_user.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_user',
  license: 'GPL',
  alias: ['rk:type2'],
  imports: ['rk_value', '_printk'],

  module_init(k) {
    k._printk(6, `rk_user: init, rk_value()=${k.rk_value()}`);
    return { ksymtab: {}, module_exit: () => void k._printk(6, 'rk_user: exit') };
  },
});
