/** Auxiliary devices that a device hands to drivers of other subsystems. Mirrors `dev.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { AuxiliaryDevice } from '@vdpalab/auxiliary';
import type { CoreDev } from './core-dev.ts';
import type { Mlx5Adev } from './header.ts';
import { withMutex } from './lock.ts';

/** The module's name, as in those of its auxiliary devices. */
export const MLX5_ADEV_NAME = 'mlx5_core';

interface Kind {
  /** Linux's number. */
  readonly idx: number;
  readonly suffix: string;
  readonly supported: (dev: CoreDev) => boolean;
  /** The driverinit parameter that has to be set; absent: none. */
  readonly param?: string;
}

const switchdev = (dev: CoreDev): boolean => dev.eswitch?.switchdev === true;

/** In Linux's order. @see `mlx5_adev_devices` */
const KINDS: readonly Kind[] = [
  { idx: 0, suffix: 'eth', param: 'enable_eth', supported: ethSupported },
  { idx: 1, suffix: 'eth-rep', supported: switchdev },
  { idx: 2, suffix: 'rdma', param: 'enable_rdma', supported: rdmaSupported },
  { idx: 3, suffix: 'rdma-rep', supported: switchdev },
  { idx: 5, suffix: 'vnet', param: 'enable_vnet', supported: vnetSupported },
];

/** @see `mlx5_eth_supported` */
export function ethSupported(dev: CoreDev): boolean {
  return dev.caps.ethernet;
}

/** The representors of RDMA take the place of the plain device in switchdev mode. @see `mlx5_rdma_supported` */
export function rdmaSupported(dev: CoreDev): boolean {
  return !switchdev(dev);
}

/** @see `mlx5_vnet_supported` */
export function vnetSupported(dev: CoreDev): boolean {
  return dev.coredev_type !== 'MLX5_COREDEV_PF' && dev.caps.virtioNetQ;
}

/** The children of one device. Every method is under the lock that all devices share, as in Linux. */
export class AdevTable {
  readonly #dev: CoreDev;
  readonly #adevs = new Map<Kind, AuxiliaryDevice>();
  /** `MLX5_PRIV_FLAGS_DETACH`, `MLX5_PRIV_FLAGS_DISABLE_ALL_ADEV`: what is supported may change, and nothing is added. */
  #closed = true;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  /** Add what is supported. What fails leaves none. @see `mlx5_register_device` */
  async register(): Promise<void> {
    await this.#locked('mlx5_register_device', async () => {
      this.#closed = false;
      try {
        await this.#add(() => true);
      } catch (error) {
        this.#closed = true;
        await this.#remove(() => true);
        throw error;
      }
    });
  }

  /** Add what is supported and enabled, after the device was loaded again. @see `mlx5_attach_device` */
  async attach(): Promise<void> {
    await this.#locked('mlx5_attach_device', async () => {
      this.#closed = false;
      await this.#add((kind) => this.#enabled(kind));
    });
  }

  /** Remove all, before it is unloaded or for good. None of the drivers here suspends. @see `mlx5_detach_device`, `mlx5_unregister_device` */
  async detach(): Promise<void> {
    await this.#locked('mlx5_detach_device', async () => {
      this.#closed = true;
      await this.#remove(() => true);
    });
  }

  /** What is supported has changed. What cannot be added is in the log, and missing. @see `mlx5_rescan_drivers` */
  async rescan(): Promise<void> {
    await this.#locked('mlx5_dev_list_lock', async () => {
      if (this.#closed) return;
      await this.#remove((kind) => !this.#enabled(kind) || !kind.supported(this.#dev));
      try {
        await this.#add((kind) => this.#enabled(kind));
      } catch (error) {
        if (!isKernelError(error)) throw error;
      }
    });
  }

  async #add(wanted: (kind: Kind) => boolean): Promise<void> {
    for (const kind of KINDS) {
      if (this.#adevs.has(kind) || !kind.supported(this.#dev) || !wanted(kind)) continue;
      try {
        this.#adevs.set(kind, await this.#create(kind));
      } catch (error) {
        if (isKernelError(error)) this.#dev.warn(`Device[${kind.idx}] (${kind.suffix}) failed to load`);
        throw error;
      }
    }
  }

  async #remove(which: (kind: Kind) => boolean): Promise<void> {
    for (const kind of KINDS.toReversed()) {
      const adev = this.#adevs.get(kind);
      if (adev === undefined || !which(kind)) continue;
      this.#adevs.delete(kind);
      await this.#dev.k.auxiliary_device_delete(adev);
      this.#dev.k.auxiliary_device_uninit(adev);
    }
  }

  async #create({ idx, suffix }: Kind): Promise<AuxiliaryDevice> {
    const { k, device, adevIdx } = this.#dev;
    const container: Mlx5Adev = { mdev: this.#dev, idx };
    const adev = k.auxiliary_device_init({ parent: device, name: suffix, id: adevIdx, container, release: () => undefined });
    try {
      await k.__auxiliary_device_add(adev, MLX5_ADEV_NAME);
    } catch (error) {
      k.auxiliary_device_uninit(adev);
      throw error;
    }
    return adev;
  }

  #enabled({ param }: Kind): boolean {
    return param === undefined || this.#dev.driverinit(param) === true;
  }

  async #locked(wchan: string, body: () => Promise<void>): Promise<void> {
    await withMutex(this.#dev.k, this.#dev.shared.intfMutex, body, wchan);
  }
}
