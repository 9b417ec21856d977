/** Whether addresses of user space can be user space's at all. Mirrors `vq_access_ok` and its like in `drivers/vhost/vhost.c` (Linux 6.1). */
import { VHOST_F_LOG_ALL, VHOST_PAGE_SIZE, VIRTIO_RING_F_EVENT_IDX, vring_avail, vring_desc, vring_used } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import type { VirtqueueState } from './dev.ts';

/** `TASK_SIZE_MAX` of x86-64 with four levels of page tables. */
const TASK_SIZE_MAX = 0x7fff_ffff_f000n;
const U64_MAX = (1n << 64n) - 1n;

/** `access_ok` @param size bytes */
export const accessOk = (addr: bigint, size: bigint): boolean => addr + size <= TASK_SIZE_MAX;

const has = (vq: VirtqueueState, feature: number): boolean => (vq.acked_features & (1n << BigInt(feature))) !== 0n;

/** Bytes of the three areas of a ring of the queue's size. */
export function ringSizes(vq: VirtqueueState): { desc: bigint; avail: bigint; used: bigint } {
  const event = has(vq, VIRTIO_RING_F_EVENT_IDX) ? 2 : 0;
  return {
    desc: BigInt(vq.num * vring_desc.size),
    avail: BigInt(vring_avail.size + vq.num * 2 + event),
    used: BigInt(vring_used.size + vq.num * 8 + event),
  };
}

/** Rings that lie where a process's memory may. */
export function vqAccessOk(vq: VirtqueueState, desc: bigint, avail: bigint, used: bigint): boolean {
  const size = ringSizes(vq);
  return accessOk(desc, size.desc) && accessOk(avail, size.avail) && accessOk(used, size.used);
}

/** Room in the log for a range of guest memory. */
function logAccessOk(log: bigint, addr: bigint, size: bigint): boolean {
  const perByte = BigInt(VHOST_PAGE_SIZE * 8);
  return accessOk(log + addr / perByte, (size + perByte - 1n) / perByte);
}

/** Room in the log for the used ring, when it is logged at all. */
export function logUsedAccessOk(vq: VirtqueueState, log: bigint, logUsed: boolean, addr: bigint): boolean {
  return vq.dev.iotlb !== null || !logUsed || logAccessOk(log, addr, ringSizes(vq).used);
}

/** Every region of a table. @param log base of the log; null when nothing is logged */
function tableAccessOk(k: Pick<VhostIotlbSymbols, 'vhost_iotlb_itree_first' | 'vhost_iotlb_itree_next'>, table: VhostIotlb, log: bigint | null): boolean {
  for (let map = k.vhost_iotlb_itree_first(table, 0n, U64_MAX); map !== null; map = k.vhost_iotlb_itree_next(table, map, 0n, U64_MAX)) {
    if (!accessOk(map.addr, map.size)) return false;
    if (log !== null && !logAccessOk(log, map.start, map.size)) return false;
  }
  return true;
}

/** `memory_access_ok`: a queue without a backend is looked at when it gets one. */
export function memoryAccessOk(
  k: Pick<VhostIotlbSymbols, 'vhost_iotlb_itree_first' | 'vhost_iotlb_itree_next'>, vqs: readonly VirtqueueState[], table: VhostIotlb,
): boolean {
  return vqs.every((vq) => vq.private_data === null || tableAccessOk(k, table, has(vq, VHOST_F_LOG_ALL) ? vq.log_base : null));
}

/** `vq_log_access_ok`: whether a log there covers all that may be written. */
export function vqLogAccessOk(
  k: Pick<VhostIotlbSymbols, 'vhost_iotlb_itree_first' | 'vhost_iotlb_itree_next'>, vq: VirtqueueState, log: bigint,
): boolean {
  const table = vq.dev.umem;
  return table !== null && tableAccessOk(k, table, has(vq, VHOST_F_LOG_ALL) ? log : null) && logUsedAccessOk(vq, log, vq.log_used, vq.log_addr);
}
