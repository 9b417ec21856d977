/** Has an init and no exit: permanent. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: 'kernel/samples/rk/rk_noexit.ko', size: 12288, intree: false, signed: false };

export default defineModule({
  name: 'rk_noexit',
  license: 'GPL',
  module_init: () => ({ ksymtab: {}, module_exit: null }),
});
