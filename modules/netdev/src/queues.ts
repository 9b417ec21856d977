/** `queues/rx-N` and `queues/tx-N` of a device. Mirrors `net/core/net-sysfs.c` (Linux 6.1), `net_rx_queue_update_kobjects`. */
import { KernelError } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import type { Kernel } from './kernel.ts';
import type { NetDev } from './net-device.ts';

const SUBSYSTEM = 'queues';
/** `byte_queue_limits`: how much is handed to the driver is not limited here. */
const LIMITS = [['hold_time', 1000, 0o644], ['inflight', 0, 0o444], ['limit', 0, 0o644], ['limit_max', 1_879_048_192, 0o644], ['limit_min', 0, 0o644]] as const;

/** The directories of one device: as many as there are queues in use. */
export class QueueDirectories {
  readonly #k: Kernel;
  readonly #dev: NetDev;
  readonly #dir: DirNode;
  readonly #rx: DirNode[] = [];
  readonly #tx: DirNode[] = [];

  /** Make and announce them, the receiving ones first. */
  constructor(k: Kernel, dev: NetDev) {
    const { sd } = dev.dev;
    if (sd === null) throw new Error(`${dev.name}: queues before it is in sysfs`);
    this.#k = k;
    this.#dev = dev;
    this.#dir = k.kernfs_create_dir(sd, SUBSYSTEM);
    try {
      this.update();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** As many as are in use now. */
  update(): undefined {
    this.#resize(this.#rx, this.#dev.real_num_queues, (n) => this.#makeRx(n));
    return this.#resize(this.#tx, this.#dev.real_num_queues, (n) => this.#makeTx(n));
  }

  remove(): undefined {
    this.#resize(this.#rx, 0, (n) => this.#makeRx(n));
    this.#resize(this.#tx, 0, (n) => this.#makeTx(n));
    return this.#k.kernfs_remove(this.#dir);
  }

  #resize(queues: DirNode[], wanted: number, make: (n: number) => DirNode): undefined {
    while (queues.length < wanted) {
      const queue = make(queues.length);
      queues.push(queue);
      this.#announce(queue, 'add');
    }
    for (const queue of queues.splice(wanted).toReversed()) {
      this.#announce(queue, 'remove');
      this.#k.kernfs_remove(queue);
    }
  }

  #makeRx(n: number): DirNode {
    const rx = this.#k.kernfs_create_dir(this.#dir, `rx-${n}`);
    for (const name of ['rps_cpus', 'rps_flow_cnt']) this.#k.kernfs_create_file(rx, name, 0o644, { show: async () => '0\n' });
    return rx;
  }

  #makeTx(n: number): DirNode {
    const k = this.#k;
    const tx = k.kernfs_create_dir(this.#dir, `tx-${n}`);
    const limits = k.kernfs_create_dir(tx, 'byte_queue_limits');
    for (const [name, value, mode] of LIMITS) k.kernfs_create_file(limits, name, mode, { show: async () => `${value}\n` });
    for (const name of ['tx_maxrate', 'tx_timeout']) k.kernfs_create_file(tx, name, name === 'tx_timeout' ? 0o444 : 0o644, { show: async () => '0\n' });
    k.kernfs_create_file(tx, 'xps_rxqs', 0o644, { show: async () => '0\n' });
    for (const [name, mode] of [['traffic_class', 0o444], ['xps_cpus', 0o644]] as const) {
      k.kernfs_create_file(tx, name, mode, { show: async () => ofSeveral(this.#dev, name) });
    }
    return tx;
  }

  #announce(queue: DirNode, action: 'add' | 'remove'): undefined {
    return this.#k.kobject_uevent_at(this.#k.kernfs_path(queue).replace(/^\/sys/, ''), SUBSYSTEM, action);
  }
}

/** No class, and no processor of its own. @throws ENOENT: only devices of several queues say which of them does what */
function ofSeveral(dev: NetDev, name: string): string {
  if (dev.num_queues > 1) return '0\n';
  throw new KernelError('ENOENT', 'netdev.sysfs.one-queue', `${dev.name}: ${name} of a device with one queue`);
}
