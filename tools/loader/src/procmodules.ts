/** Lines of `/proc/modules`. Mirrors `m_show` in `kernel/module/procfs.c` (Linux 6.1). */
import type { ModuleView } from '@vdpalab/abi';

const STATE = { unformed: 'Loading', coming: 'Loading', live: 'Live', going: 'Unloading' } as const;
const FLAG = { unformed: '', coming: '+', live: '', going: '-' } as const;

/**
 * One line, without the newline: `name size refcount users, state 0xaddress (taints)`.
 *
 * The `+` of a loading and the `-` of an unloading module stand beside its taints, and nowhere when it has none.
 *
 * @param options.hideAddress what a reader without CAP_SYSLOG sees: zeros
 */
export function procModulesLine(view: ModuleView, options: { readonly hideAddress?: boolean } = {}): string {
  const users = [...view.holders, ...(view.permanent ? ['[permanent]'] : [])].map((name) => `${name},`).join('');
  const address = (options.hideAddress === true ? 0n : view.address).toString(16).padStart(16, '0');
  const taints = view.taint === '' ? '' : ` (${view.taint}${FLAG[view.state]})`;
  return `${view.name} ${view.size + view.initSize} ${view.refcnt} ${users === '' ? '-' : users} ${STATE[view.state]} 0x${address}${taints}`;
}
