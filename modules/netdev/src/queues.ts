/** `queues/rx-0` and `queues/tx-0` of a device. Mirrors `net/core/net-sysfs.c` (Linux 6.1), `net_rx_queue_update_kobjects`. */
import { KernelError } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import type { Kernel } from './kernel.ts';
import type { NetDev } from './net-device.ts';

const SUBSYSTEM = 'queues';
/** `byte_queue_limits`: how much is handed to the driver is not limited here. */
const LIMITS = [['hold_time', 1000, 0o644], ['inflight', 0, 0o444], ['limit', 0, 0o644], ['limit_max', 1_879_048_192, 0o644], ['limit_min', 0, 0o644]] as const;

/** Make the directories and announce them, the receiving one first. @returns takes them away again */
export function createQueues(k: Kernel, dev: NetDev): () => undefined {
  const { sd } = dev.dev;
  if (sd === null) throw new Error(`${dev.name}: queues before it is in sysfs`);
  const dir = k.kernfs_create_dir(sd, SUBSYSTEM);
  try {
    const rx = k.kernfs_create_dir(dir, 'rx-0');
    k.kernfs_create_file(rx, 'rps_cpus', 0o644, { show: async () => '0\n' });
    k.kernfs_create_file(rx, 'rps_flow_cnt', 0o644, { show: async () => '0\n' });
    const tx = k.kernfs_create_dir(dir, 'tx-0');
    const limits = k.kernfs_create_dir(tx, 'byte_queue_limits');
    for (const [name, value, mode] of LIMITS) k.kernfs_create_file(limits, name, mode, { show: async () => `${value}\n` });
    for (const name of ['tx_maxrate', 'tx_timeout']) k.kernfs_create_file(tx, name, name === 'tx_timeout' ? 0o444 : 0o644, { show: async () => '0\n' });
    for (const [name, mode] of [['traffic_class', 0o444], ['xps_cpus', 0o644], ['xps_rxqs', 0o644]] as const) {
      k.kernfs_create_file(tx, name, mode, { show: async () => oneQueue(dev, name) });
    }
    const queues = [rx, tx] as const;
    for (const queue of queues) announce(k, queue, 'add');
    return () => {
      for (const queue of queues) {
        announce(k, queue, 'remove');
        k.kernfs_remove(queue);
      }
      return k.kernfs_remove(dir);
    };
  } catch (error) {
    k.kernfs_remove(dir);
    throw error;
  }
}

/** @throws ENOENT: only devices of several queues say which of them does what */
function oneQueue(dev: NetDev, name: string): never {
  throw new KernelError('ENOENT', 'netdev.sysfs.one-queue', `${dev.name}: ${name} of a device with one queue`);
}

function announce(k: Kernel, queue: DirNode, action: 'add' | 'remove'): undefined {
  return k.kobject_uevent_at(k.kernfs_path(queue).replace(/^\/sys/, ''), SUBSYSTEM, action);
}
