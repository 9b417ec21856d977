/** Imports the namespace whose symbol it uses, whatever its description says: the recorded one was an edited copy. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: '/opt/rk_nsgood.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_nsgood',
  license: 'GPL',
  description: 'does not import the namespace',
  importNs: ['RK_NS'],
  imports: ['rk_ns_value'],
  module_init: () => ({ ksymtab: {} }),
});
