/** Needs a symbol that nobody exports. */
import { defineModule } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

export const modinfo: ModuleFileInfo = { path: '/opt/rk_missing.ko', intree: false, signed: false };

export default defineModule({
  name: 'rk_missing',
  license: 'GPL',
  imports: ['rk_nowhere'],
  module_init: () => ({ ksymtab: {} }),
});
