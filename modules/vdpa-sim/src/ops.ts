/** `vdpa_config_ops` of a simulated device. Mirrors `vdpasim_config_ops` of `drivers/vdpa/vdpa_sim/vdpa_sim.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import { VIRTIO_F_ACCESS_PLATFORM } from '@vdpalab/uapi';
import type { VdpaConfigOps } from '@vdpalab/vdpa-core';
import type { VhostIotlb, VhostIotlbMap, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import type { SimOptions, Simulator } from './device.ts';
import { groupOf, VDPASIM_QUEUE_MAX } from './queues.ts';

/** What mapping takes. */
export type MapSymbols = Pick<VhostIotlbSymbols,
  | 'vhost_iotlb_reset' | 'vhost_iotlb_add_range' | 'vhost_iotlb_add_range_ctx' | 'vhost_iotlb_del_range' | 'vhost_iotlb_itree_first'
  | 'vhost_iotlb_itree_next'>;

/** Alignment of rings, bytes. */
const VDPASIM_QUEUE_ALIGN = 4096;
const VDPASIM_VENDOR_ID = 0;
const U64_MAX = (1n << 64n) - 1n;

/**
 * The operations on one device.
 *
 * @param options whole tables at once (`set_map`), or single mappings (`dma_map`, `dma_unmap`); whether it may resume
 * @param free the last reference is gone
 */
export function vdpasimOps(k: MapSymbols, sim: Simulator, { batchMapping, resumes }: SimOptions, free: () => Atomic): VdpaConfigOps {
  const { dev_attr: attr, config } = sim;

  /** @throws EINVAL for an address space that is not there */
  function tableOf(asid: number): VhostIotlb {
    const table = sim.iommu[asid];
    if (table !== undefined) return table;
    throw new KernelError('EINVAL', 'vdpa_sim.asid', `${attr.name}: address space ${asid} of ${attr.nas}`);
  }

  const inside = (offset: number, len: number): boolean => offset >= 0 && offset + len <= config.length;

  return {
    set_vq_address: (_, idx, desc, driver, device) => void Object.assign(sim.vq(idx), { desc_addr: desc, driver_addr: driver, device_addr: device }),
    set_vq_num: (_, idx, num) => void (sim.vq(idx).num = num),
    kick_vq: (_, idx) => sim.kick(idx),
    set_vq_cb: (_, idx, cb) => void (sim.vq(idx).cb = cb),
    set_vq_ready: async (_, idx, ready) => sim.setReady(idx, ready),
    get_vq_ready: (_, idx) => sim.vq(idx).ready,
    async set_vq_state(_, idx, state) {
      if (state.kind !== 'split') throw new KernelError('EOPNOTSUPP', 'vdpa_sim.vq.packed', `${attr.name}: queue ${idx}: no packed rings`);
      sim.vq(idx).vring.last_avail_idx = state.avail_index;
    },
    get_vq_state: async (_, idx) => ({ kind: 'split', avail_index: sim.vq(idx).vring.last_avail_idx }),
    get_vq_align: () => VDPASIM_QUEUE_ALIGN,
    get_vq_group: (_, idx) => groupOf(idx),
    get_device_features: () => attr.supported_features,
    async set_driver_features(_, features) {
      if ((features & (1n << BigInt(VIRTIO_F_ACCESS_PLATFORM))) === 0n) {
        throw new KernelError('EINVAL', 'vdpa_sim.features.access-platform', `${attr.name}: features 0x${features.toString(16)} lack ACCESS_PLATFORM`);
      }
      sim.features = features & attr.supported_features;
    },
    get_driver_features: () => sim.features,
    set_config_cb: () => undefined, // its configuration never changes by itself
    get_vq_num_max: () => VDPASIM_QUEUE_MAX,
    get_device_id: () => attr.id,
    get_vendor_id: () => VDPASIM_VENDOR_ID,
    get_status: () => sim.status,
    set_status: async (_, status) => sim.setStatus(status),
    reset: async () => sim.reset(),
    async suspend() {
      sim.running = false;
    },
    ...(resumes ? { resume: async () => sim.resume() } satisfies Partial<VdpaConfigOps> : {}),
    get_config_size: () => attr.config_size,
    get_config(_, offset, len) {
      if (!inside(offset, len)) return new Uint8Array(len);
      attr.get_config?.(sim, config);
      return config.slice(offset, offset + len);
    },
    async set_config(_, offset, bytes) {
      if (!inside(offset, bytes.length)) return;
      config.set(bytes, offset);
      attr.set_config?.(sim, config);
    },
    get_generation: () => sim.generation,
    get_iova_range: () => ({ first: 0n, last: U64_MAX }),
    async set_group_asid(_, group, asid) {
      if (group > attr.ngroups) throw new KernelError('EINVAL', 'vdpa_sim.group', `${attr.name}: group ${group} of ${attr.ngroups}`);
      tableOf(asid);
      sim.setGroupAsid(group, asid);
    },
    ...(batchMapping ? {
      async set_map(_, asid, iotlb) {
        const table = tableOf(asid);
        k.vhost_iotlb_reset(table);
        try {
          for (const { start, last, addr, perm } of entries(k, iotlb)) k.vhost_iotlb_add_range(table, start, last, addr, perm);
        } catch (error) {
          k.vhost_iotlb_reset(table);
          throw error;
        }
      },
    } satisfies Partial<VdpaConfigOps> : {
      async dma_map(_, asid, iova, size, pa, perm, opaque) {
        k.vhost_iotlb_add_range_ctx(tableOf(asid), iova, iova + size - 1n, pa, perm, opaque);
      },
      async dma_unmap(_, asid, iova, size) {
        k.vhost_iotlb_del_range(tableOf(asid), iova, iova + size - 1n);
      },
    } satisfies Partial<VdpaConfigOps>),
    free,
  };
}

function* entries(k: MapSymbols, iotlb: VhostIotlb): Generator<VhostIotlbMap> {
  for (let map = k.vhost_iotlb_itree_first(iotlb, 0n, U64_MAX); map !== null; map = k.vhost_iotlb_itree_next(iotlb, map, 0n, U64_MAX)) yield map;
}
