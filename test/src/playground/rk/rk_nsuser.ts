/** Uses a symbol of a namespace that it does not import. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: '/opt/rk_nsuser.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_nsuser',
  license: 'GPL',
  description: 'does not import the namespace',
  imports: ['rk_ns_value'],
  module_init: () => ({ ksymtab: {} }),
});
