/** One simulated device. Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { SchedSymbols, Work } from '@vdpalab/sched';
import { VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import type { VdpaDevice, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import type { VringhSymbols } from '@vdpalab/vringh';
import { dmaOps, type DmaSymbols } from './dma.ts';
import type { Vdpasim, VdpasimDevAttr, VdpasimVirtqueue } from './header.ts';
import { type MapSymbols, vdpasimOps } from './ops.ts';
import { groupOf, VDPASIM_QUEUE_MAX } from './queues.ts';

/** All of a 64-bit mask that a number holds; addresses here are below 2^53. */
const DMA_BIT_MASK_64 = Number.MAX_SAFE_INTEGER;

/** What a simulator takes. */
export type SimSymbols =
  & DmaSymbols & MapSymbols
  & Pick<IommuSymbols, 'set_dma_ops' | 'init_iova_domain' | 'put_iova_domain' | 'dma_set_mask_and_coherent'>
  & Pick<SchedSymbols, 'INIT_WORK' | 'queue_work' | 'system_wq'>
  & Pick<DriverCoreSymbols, 'put_device'> & Pick<VdpaSymbols, '__vdpa_alloc_device'>
  & Pick<VringhSymbols, 'vringh_init_iotlb' | 'vringh_set_iotlb'>
  & Pick<VhostIotlbSymbols, 'vhost_iotlb_init'>;

/** The module's parameters. */
export interface SimOptions {
  /** Whole tables at once, instead of single mappings. */
  readonly batchMapping: boolean;
  /** Entries of one address space. */
  readonly maxIotlbEntries: number;
  /** Later than 6.1: what is suspended may resume. */
  readonly resumes: boolean;
}

/** `struct vdpasim` with what only the core touches. */
export class Simulator implements Vdpasim {
  /** Set right after construction, by whoever makes the vDPA device around this. */
  vdpa!: VdpaDevice;
  readonly dev_attr: VdpasimDevAttr;
  readonly vqs: readonly VdpasimVirtqueue[];
  readonly iommu: readonly VhostIotlb[];
  readonly config: Uint8Array;
  readonly buffer: Uint8Array;
  readonly work: Work;
  status = 0;
  generation = 0;
  features = 0n;
  running = false;
  /** A doorbell was rung while the device was suspended. */
  #pendingKick = false;
  readonly #k: SimSymbols;
  readonly #resumes: boolean;
  /** Table of each queue. */
  readonly #tables: VhostIotlb[];

  constructor(k: SimSymbols, attr: VdpasimDevAttr, iommu: readonly VhostIotlb[], resumes: boolean) {
    this.#k = k;
    this.#resumes = resumes;
    this.dev_attr = attr;
    this.iommu = iommu;
    this.config = new Uint8Array(attr.config_size);
    this.buffer = new Uint8Array(attr.buffer_size);
    this.#tables = Array.from({ length: attr.nvqs }, () => iommu[0] as VhostIotlb); // there is one at least
    this.vqs = this.#tables.map((table): VdpasimVirtqueue => ({
      vring: this.#emptyRing(table), in_iov: { segments: [], consumed: 0 }, out_iov: { segments: [], consumed: 0 }, ready: false,
      desc_addr: 0n, driver_addr: 0n, device_addr: 0n, num: 0, cb: null,
    }));
    this.work = k.INIT_WORK(`vdpasim ${attr.name}`, async () => attr.work_fn(this));
  }

  vq(idx: number): VdpasimVirtqueue {
    const vq = this.vqs[idx];
    if (vq === undefined) throw new RangeError(`${this.dev_attr.name}: queue ${idx} of ${this.vqs.length}`);
    return vq;
  }

  /** A doorbell: all queues are served, later; with one that may resume, not before it does. */
  kick(idx: number): Atomic {
    const { ready } = this.vq(idx);
    if (this.#resumes && !this.running && (this.status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) this.#pendingKick = true;
    else if (ready) this.#k.queue_work(this.#k.system_wq, this.work);
    return undefined;
  }

  /** A queue that gets ready begins where its state says. @throws EINVAL for a size or an address that a ring cannot have */
  setReady(idx: number, ready: boolean): Atomic {
    const vq = this.vq(idx);
    if (ready && !vq.ready) {
      const { last_avail_idx } = vq.vring;
      vq.vring = this.#k.vringh_init_iotlb(this.features, vq.num, false, vq.desc_addr, vq.driver_addr, vq.device_addr);
      this.#k.vringh_set_iotlb(vq.vring, this.#tables[idx] as VhostIotlb); // as many as there are queues
      vq.vring.last_avail_idx = last_avail_idx;
      vq.vring.last_used_idx = last_avail_idx; // nothing is in flight
    }
    vq.ready = ready;
    return undefined;
  }

  /** Put the queues of a group into an address space. */
  setGroupAsid(group: number, asid: number): Atomic {
    const table = this.iommu[asid] as VhostIotlb; // checked by the op
    for (let idx = 0; idx < this.vqs.length; idx++) {
      if (groupOf(idx) !== group) continue;
      this.#tables[idx] = table;
      this.#k.vringh_set_iotlb(this.vq(idx).vring, table);
    }
    return undefined;
  }

  setStatus(status: number): Atomic {
    this.status = status;
    this.running = (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
    return undefined;
  }

  /** `vdpasim_resume` (Linux 6.4): what was asked for meanwhile is done now. */
  resume(): Atomic {
    this.running = true;
    if (!this.#pendingKick) return;
    this.#pendingKick = false;
    for (let idx = 0; idx < this.vqs.length; idx++) this.kick(idx);
  }

  /** `vdpasim_do_reset`: queues back in the first address space, tables empty. */
  reset(): Atomic {
    this.status = 0;
    this.running = false;
    this.features = 0n;
    this.generation++;
    for (let idx = 0; idx < this.vqs.length; idx++) {
      const table = this.iommu[0] as VhostIotlb; // there is one at least
      this.#tables[idx] = table;
      Object.assign(this.vq(idx), { vring: this.#emptyRing(table), ready: false, desc_addr: 0n, driver_addr: 0n, device_addr: 0n, cb: null });
    }
    for (const table of this.iommu) this.#k.vhost_iotlb_reset(table);
    return undefined;
  }

  #emptyRing(table: VhostIotlb): VdpasimVirtqueue['vring'] {
    const vring = this.#k.vringh_init_iotlb(this.dev_attr.supported_features, VDPASIM_QUEUE_MAX, false, 0n, 0n, 0n);
    this.#k.vringh_set_iotlb(vring, table);
    return vring;
  }
}

/** `vdpasim_create` */
export async function createSim(k: SimSymbols, attr: VdpasimDevAttr, options: SimOptions): Promise<Vdpasim> {
  const iommu = Array.from({ length: attr.nas }, () => k.vhost_iotlb_init(options.maxIotlbEntries, 0));
  const sim = new Simulator(k, attr, iommu, options.resumes);
  const iova = k.init_iova_domain(1, 0);
  const vdpa = await k.__vdpa_alloc_device({
    parent: null, dma_dev: null, ngroups: attr.ngroups, nas: attr.nas, name: attr.name, models: ['virtio', 'vhost'], priv: sim,
    config: vdpasimOps(k, sim, options, () => {
      sim.running = false; // a work that is still queued finds nothing to do
      for (const table of iommu) k.vhost_iotlb_reset(table);
      attr.free?.(sim);
      k.set_dma_ops(sim.vdpa.dev, null);
      return k.put_iova_domain(iova);
    }),
  });
  sim.vdpa = vdpa;
  k.set_dma_ops(vdpa.dev, dmaOps(k, iommu[0] as VhostIotlb, iova)); // there is one at least
  try {
    k.dma_set_mask_and_coherent(vdpa.dev, DMA_BIT_MASK_64);
  } catch (error) {
    k.put_device(vdpa.dev);
    throw error;
  }
  vdpa.mdev = attr.mgmt_dev;
  return sim;
}
