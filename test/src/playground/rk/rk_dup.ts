/** Exports what rk_provider exports. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: '/opt/rk_dup.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_dup',
  license: 'GPL',
  exportsGpl: ['rk_value'],
  module_init: () => ({ ksymtab: { rk_value: () => 43 } }),
});
