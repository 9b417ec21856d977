/** vDPA devices of one process. @see DPDK lib/vhost/vdpa.c */
import { KernelError } from '@vdpalab/abi';
import { MANDATORY_OPS, type RteVdpaDevOps, type VdpaDeviceType } from './ops.ts';

/** `struct rte_vdpa_device` */
export interface RteVdpaDevice {
  /** What `rte_vdpa_find_device_by_name` takes: a PCI address, or the name of a vDPA device. */
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly type: VdpaDeviceType;
}

/** One statistic of a queue. */
export interface RteVdpaStat {
  readonly name: string;
  readonly value: bigint;
}

function unsupported(dev: RteVdpaDevice, op: string): KernelError {
  return new KernelError('EOPNOTSUPP', 'vhost_user.device.stats', `${dev.name}: no ${op}`);
}

/** The registry, with the calls' own names. */
export class VdpaRegistry {
  readonly #devices = new Map<string, RteVdpaDevice>();

  /**
   * Register a device.
   *
   * @returns `null` when a mandatory op is missing, or the name is taken
   */
  rte_vdpa_register_device(name: string, ops: Partial<RteVdpaDevOps>): RteVdpaDevice | null {
    if (this.#devices.has(name) || !complete(ops)) return null;
    const device = { name, ops, type: ops.get_dev_type?.() ?? 'net' };
    this.#devices.set(name, device);
    return device;
  }

  /** @throws ENODEV when it is not registered */
  rte_vdpa_unregister_device(dev: RteVdpaDevice): void {
    if (this.#devices.get(dev.name) !== dev) throw new KernelError('ENODEV', 'vhost_user.device.unregister', `${dev.name} is not registered`);
    this.#devices.delete(dev.name);
  }

  rte_vdpa_find_device_by_name(name: string): RteVdpaDevice | null {
    return this.#devices.get(name) ?? null;
  }

  /** Devices, oldest first. */
  rte_vdpa_devices(): readonly RteVdpaDevice[] {
    return [...this.#devices.values()];
  }

  /** @throws EOPNOTSUPP without the op */
  rte_vdpa_get_stats_names(dev: RteVdpaDevice): readonly string[] {
    if (dev.ops.get_stats_names === undefined) throw unsupported(dev, 'get_stats_names');
    return dev.ops.get_stats_names();
  }

  /** @throws EOPNOTSUPP without the op */
  rte_vdpa_get_stats(dev: RteVdpaDevice, qid: number): readonly RteVdpaStat[] {
    const { get_stats } = dev.ops;
    if (get_stats === undefined) throw unsupported(dev, 'get_stats');
    const values = get_stats(qid);
    return this.rte_vdpa_get_stats_names(dev).map((name, i) => ({ name, value: values[i] ?? 0n }));
  }

  /** @throws EOPNOTSUPP without the op */
  async rte_vdpa_reset_stats(dev: RteVdpaDevice, qid: number): Promise<void> {
    if (dev.ops.reset_stats === undefined) throw unsupported(dev, 'reset_stats');
    await dev.ops.reset_stats(qid);
  }
}

function complete(ops: Partial<RteVdpaDevOps>): ops is RteVdpaDevOps {
  return MANDATORY_OPS.every((op) => ops[op] !== undefined);
}
