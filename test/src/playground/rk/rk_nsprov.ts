/** Exports into a namespace. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: '/opt/rk_nsprov.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_nsprov',
  license: 'GPL',
  exportsNs: { RK_NS: ['rk_ns_value'] },
  module_init: () => ({ ksymtab: { rk_ns_value: () => 7 } }),
});
