/** What devlink needs of the kernel. */
import type { KernelSymbols } from '@vdpalab/abi';

/** Symbols it imports. */
export const imports = [
  'mutex_init', 'mutex_lock', 'mutex_unlock', 'init_waitqueue_head', 'wait_event', 'wake_up', 'current_task', 'genl_register_family',
  'genl_unregister_family', 'genlmsg_multicast', 'nla_parse', 'get_device', 'put_device',
] as const;

export type Kernel = Pick<KernelSymbols, (typeof imports)[number]>;
