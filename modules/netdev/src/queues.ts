/** `queues/rx-0` and `queues/tx-0` of a device. Mirrors `net/core/net-sysfs.c` (Linux 6.1), `net_rx_queue_update_kobjects`. */
import type { Kernel } from './kernel.ts';
import type { NetDev } from './net-device.ts';

/** Make the directories. Linux announces each of them too, as SUBSYSTEM=queues. @returns takes them away again */
export function createQueues(k: Kernel, dev: NetDev): () => undefined {
  const { sd } = dev.dev;
  if (sd === null) throw new Error(`${dev.name}: queues before it is in sysfs`);
  const dir = k.kernfs_create_dir(sd, 'queues');
  try {
    const tx = k.kernfs_create_dir(dir, 'tx-0');
    const rx = k.kernfs_create_dir(dir, 'rx-0');
    k.kernfs_create_file(rx, 'rps_cpus', 0o644, { show: async () => '0\n' });
    k.kernfs_create_file(rx, 'rps_flow_cnt', 0o644, { show: async () => '0\n' });
    k.kernfs_create_file(tx, 'tx_timeout', 0o444, { show: async () => '0\n' });
    k.kernfs_create_file(tx, 'xps_cpus', 0o644, { show: async () => '0\n' });
    return () => k.kernfs_remove(dir);
  } catch (error) {
    k.kernfs_remove(dir);
    throw error;
  }
}
