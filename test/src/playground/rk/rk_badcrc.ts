/** Was built against another rk_value. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = {
  path: '/opt/rk_badcrc.ko', intree: false, signed: false, importCrcs: { rk_value: 0xdead_beef },
};

export default defineModule({
  name: 'rk_badcrc',
  license: 'GPL',
  imports: ['rk_value'],
  module_init: () => ({ ksymtab: {} }),
});
