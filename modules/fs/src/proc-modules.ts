/** /proc/modules. Mirrors `m_show` in `kernel/module/procfs.c` (Linux 6.1). */
import type { ModuleView } from '@vdpalab/abi';

const STATE_WORD = { coming: 'Loading', live: 'Live', going: 'Unloading', unformed: 'Unformed' } as const;
const STATE_FLAG = { coming: '+', live: '', going: '-', unformed: '' } as const;

/** One line. @param addresses whether the reader may see load addresses */
function line(module: ModuleView, addresses: boolean): string {
  const users = module.holders.map((name) => `${name},`).join('') + (module.permanent ? '[permanent],' : '');
  const address = (addresses ? module.address : 0n).toString(16).padStart(16, '0');
  const flags = module.taint === '' ? '' : ` (${module.taint}${STATE_FLAG[module.state]})`;
  return `${module.name} ${module.size + module.initSize} ${module.refcnt} ${users === '' ? '-' : users} ${STATE_WORD[module.state]} 0x${address}${flags}\n`;
}

/** The whole file; modules that are not formed yet do not show. */
export function modulesText(modules: readonly ModuleView[], addresses: boolean): string {
  return modules.filter((module) => module.state !== 'unformed').map((module) => line(module, addresses)).join('');
}
