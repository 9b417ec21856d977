/** One device in the hands of VFIO: its registration, and what an open file holds. After `drivers/vhost/mdev.c` of the RFC of 2019. */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import type { VhostDev } from '@vdpalab/vhost';
import type { Backend } from './backend.ts';
import { served } from './features.ts';
import { ioctl } from './ioctl.ts';
import { kickRegion, mapRegion } from './region.ts';
import { refuse } from './refuse.ts';

/** What the module imports, as its parts use it. */
export type VhostMdevKernel = Pick<KernelSymbols,
  | '_vfio_alloc_device' | 'vfio_register_group_dev' | 'vfio_unregister_group_dev' | 'vfio_set_irqs_validate_and_prepare'
  | 'vhost_dev_init' | 'vhost_dev_stop' | 'vhost_dev_cleanup' | 'vhost_dev_ioctl' | 'vhost_vring_ioctl'
  | 'iommu_group_get' | 'iommu_group_add_device' | 'iommu_group_remove_device' | 'iommu_device_lend_dma' | 'iommu_device_reclaim_dma'
  | 'mutex_lock' | 'mutex_unlock' | 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal' | 'put_device' | 'dev_warn'>;

/** What exists only while the device is open. */
export interface OpenState {
  readonly vhost: VhostDev;
  /** Signalled when the configuration changes. */
  configTrigger: EventfdCtx | null;
}

/** `struct vhost_mdev` */
export class VhostMdev {
  readonly k: VhostMdevKernel;
  readonly backend: Backend;
  readonly nvqs: number;
  /** Features that go through. */
  readonly features: bigint;
  #state: OpenState | null = null;
  #vdev!: VfioDevice;

  private constructor(k: VhostMdevKernel, backend: Backend, nvqs: number, features: bigint) {
    this.k = k;
    this.backend = backend;
    this.nvqs = nvqs;
    this.features = features;
  }

  get name(): string {
    return this.backend.dev.name;
  }

  /** @throws Error (a lab bug) while it is closed */
  get state(): OpenState {
    if (this.#state === null) throw new Error(`${this.name}: used while closed`);
    return this.#state;
  }

  /**
   * Give a device to VFIO, in the IOMMU group of its DMA. What fails leaves nothing behind.
   *
   * @throws ENOTSUPP for another kind than network; what VFIO refuses with: EINVAL without an IOMMU group
   * @see `vhost_mdev_probe`
   */
  static async register(k: VhostMdevKernel, backend: Backend): Promise<VhostMdev> {
    const id = backend.get_device_id();
    const kind = served(id);
    if (kind === null) return refuse('ENOTSUPP', 'probe.device-id', `${backend.dev.name}: device id ${id}, only network devices are served`);
    const m = new VhostMdev(k, backend, kind.nvqs, kind.features);
    m.#vdev = await k._vfio_alloc_device(backend.dev, deviceOps(m), m);
    try {
      m.#joinGroup();
      try {
        await k.vfio_register_group_dev(m.#vdev);
      } catch (error) {
        m.#leaveGroup();
        throw error;
      }
    } catch (error) {
      k.put_device(m.#vdev.device);
      throw error;
    }
    return m;
  }

  /** Wait for the last close, then take it back. @see `vhost_mdev_remove` */
  async unregister(): Promise<void> {
    await this.k.vfio_unregister_group_dev(this.#vdev);
    this.#leaveGroup();
    this.k.put_device(this.#vdev.device);
  }

  /** The group is that of whoever does the DMA: a function's, or an isolated interface's own. That one's driver lends its DMA. */
  #joinGroup(): void {
    const { k, backend: { dev, dma_dev } } = this;
    const group = k.iommu_group_get(dma_dev);
    if (group !== null && dev !== dma_dev) k.iommu_group_add_device(group, dev);
    k.iommu_device_lend_dma(dma_dev);
  }

  #leaveGroup(): void {
    const { k, backend: { dev, dma_dev } } = this;
    k.iommu_device_reclaim_dma(dma_dev);
    if (dev !== dma_dev) k.iommu_group_remove_device(dev);
  }

  /** @throws what reset throws, nothing held then @see `vhost_mdev_open` */
  async open(): Promise<void> {
    await this.backend.reset();
    const vhost = this.k.vhost_dev_init({ nvqs: this.nvqs, handle_kick: (vq) => this.backend.kick_vq(vq.index), msg_handler: null });
    this.#state = { vhost, configTrigger: null };
  }

  /** The device is reset, then everything the file held is given back, whatever the parent says. @see `vhost_mdev_release` */
  async close(): Promise<void> {
    const { k, state: { vhost } } = this;
    await k.mutex_lock(vhost.mutex);
    try {
      await this.backend.reset();
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k.dev_warn(this.backend.dev, `close: ${error.message} (${error.errno})`);
    } finally {
      k.vhost_dev_stop(vhost);
      this.setConfigTrigger(null);
      k.vhost_dev_cleanup(vhost);
      this.#state = null;
      k.mutex_unlock(vhost.mutex);
    }
  }

  /** The old one is dropped. */
  setConfigTrigger(trigger: EventfdCtx | null): Atomic {
    const { k, state } = this;
    const old = state.configTrigger;
    state.configTrigger = trigger;
    this.backend.set_config_cb(trigger === null ? null : { callback: () => k.eventfd_signal(trigger, 1), trigger });
    return old === null ? undefined : k.eventfd_ctx_put(old);
  }
}

function deviceOps(m: VhostMdev): VfioDeviceOps {
  return {
    name: 'vfio-vhost-mdev',
    exclusive: true,
    open_device: () => m.open(),
    close_device: () => m.close(),
    ioctl: (_, cmd, arg, proc) => ioctl(m, cmd, arg, proc),
    write: async (_, bytes, pos) => kickRegion(m, bytes, pos),
    mmap: async (_, vma) => mapRegion(m, vma),
  };
}
