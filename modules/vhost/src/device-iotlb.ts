/** A device whose mappings user space sends when they are missed. Mirrors the device IOTLB of `drivers/vhost/vhost.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import {
  POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, UIO_MAXIOV, VHOST_ACCESS_RO, VHOST_ACCESS_WO, VHOST_BACKEND_F_IOTLB_MSG_V2, VHOST_IOTLB_FLAG_RETIRE,
  VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_MISS, VHOST_IOTLB_MSG, VHOST_IOTLB_MSG_V2, VHOST_IOTLB_UPDATE, vhost_msg, vhost_msg_v2,
} from '@vdpalab/uapi';
import { accessOk, ringSizes } from './access.ts';
import type { DevState, VhostNeeds, VirtqueueState } from './dev.ts';
import type { VhostIotlbMsg, VhostIovec } from './header.ts';

const U64_MAX = (1n << 64n) - 1n;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** A miss that user space has to be told of, or was told of. */
export interface Miss {
  readonly vq: VirtqueueState;
  readonly iova: bigint;
  readonly perm: number;
}

/** `vhost_init_device_iotlb`: from now on misses are told; mappings there were are gone. */
export function initDeviceIotlb(k: VhostNeeds, dev: DevState, entries: number): Atomic {
  const old = dev.iotlb;
  dev.iotlb = k.vhost_iotlb_alloc(entries, VHOST_IOTLB_FLAG_RETIRE);
  return old === null ? undefined : k.vhost_iotlb_free(old);
}

/** `vhost_process_iotlb_msg`, for devices that have no handler of their own. @throws EINVAL EFAULT ENOMEM */
export function processMessage(k: VhostNeeds, dev: DevState, asid: number, msg: VhostIotlbMsg): Atomic {
  const refuse = (errno: 'EINVAL' | 'EFAULT', rule: string, text: string): never => {
    throw new KernelError(errno, `vhost.device-iotlb.${rule}`, text);
  };
  if (asid !== 0) refuse('EINVAL', 'asid', `asid ${asid}: this device has one address space`);
  if (msg.type !== VHOST_IOTLB_UPDATE && msg.type !== VHOST_IOTLB_INVALIDATE) refuse('EINVAL', 'kind', `message kind ${msg.type}`);
  const { iotlb } = dev;
  if (iotlb === null) throw new KernelError('EFAULT', 'vhost.device-iotlb.absent', 'the device has no IOTLB');
  const last = (msg.iova + msg.size - 1n) & U64_MAX;
  if (msg.type === VHOST_IOTLB_INVALIDATE) return k.vhost_iotlb_del_range(iotlb, msg.iova, last);
  if (!accessOk(msg.uaddr, msg.size)) refuse('EFAULT', 'access', `${hex(msg.uaddr)}+${hex(msg.size)} is not in user space`);
  k.vhost_iotlb_add_range(iotlb, msg.iova, last, msg.uaddr, msg.perm);
  for (const miss of [...dev.pending]) {
    if (miss.iova < msg.iova || miss.iova > last) continue;
    dev.pending.delete(miss);
    miss.vq.handle_kick(miss.vq); // what missed it goes on
  }
  return undefined;
}

/** `vhost_iotlb_miss`: tell user space, once it reads. */
function tellMiss(k: VhostNeeds, vq: VirtqueueState, iova: bigint, perm: number): Atomic {
  vq.dev.misses.push({ vq, iova, perm });
  return k.wake_up(vq.dev.wait);
}

/**
 * Read one miss. It is pending from then on, until an update covers it.
 *
 * @param len bytes there is room for; less than a message takes none
 * @throws EAGAIN without one, when not to wait; EBADFD when the device has no IOTLB
 */
export async function readMiss(k: VhostNeeds, dev: DevState, len: number, noblock: boolean): Promise<Uint8Array> {
  if (len < vhost_msg.size) return new Uint8Array(0);
  while (dev.misses.length === 0) {
    if (noblock) throw new KernelError('EAGAIN', 'vhost.device-iotlb.read', 'no miss to tell of');
    if (dev.iotlb === null) throw new KernelError('EBADFD', 'vhost.device-iotlb.read-absent', 'the device has no IOTLB, so nothing is missed');
    await k.wait_event(dev.wait, () => dev.misses.length > 0 || dev.iotlb === null, 'an IOTLB miss', undefined, 'vhost_chr_read_iter');
  }
  const [miss] = dev.misses.splice(0, 1) as [Miss]; // there is one
  dev.pending.add(miss);
  const iotlb = { iova: miss.iova, size: 0n, uaddr: 0n, perm: miss.perm, type: VHOST_IOTLB_MISS };
  return dev.hasBackendFeature(VHOST_BACKEND_F_IOTLB_MSG_V2)
    ? vhost_msg_v2.encode({ type: VHOST_IOTLB_MSG_V2, iotlb }) : vhost_msg.encode({ type: VHOST_IOTLB_MSG, iotlb });
}

/** `vhost_chr_poll` @returns POLL* */
export function pollMisses(dev: DevState): number {
  return POLLOUT | POLLWRNORM | (dev.misses.length > 0 ? POLLIN | POLLRDNORM : 0);
}

/**
 * `translate_desc`: where a range of the guest lies in the owner's memory, piece by piece.
 *
 * @param perm VHOST_ACCESS_RO to read it, VHOST_ACCESS_WO to write it
 * @throws EAGAIN when the device's IOTLB lacks it, and user space is told; EFAULT when the memory table does; EPERM; ENOBUFS beyond `limit` pieces
 */
export function translate(k: VhostNeeds, vq: VirtqueueState, addr: bigint, len: number, perm: number, limit: number): VhostIovec[] {
  const { dev } = vq;
  const table = dev.iotlb ?? dev.umem;
  const pieces: VhostIovec[] = [];
  let left = BigInt(len);
  for (let at = addr; left > 0n;) {
    if (pieces.length >= limit) throw new KernelError('ENOBUFS', 'vhost.translate.pieces', `${hex(addr)}+${len} lies in more than ${limit} pieces`);
    const map = table === null ? null : k.vhost_iotlb_itree_first(table, at, addr + BigInt(len) - 1n);
    if (map === null || map.start > at) {
      if (dev.iotlb === null) throw new KernelError('EFAULT', 'vhost.translate.table', `queue ${vq.index}: the memory table has nothing at ${hex(at)}`);
      tellMiss(k, vq, at, perm);
      throw new KernelError('EAGAIN', 'vhost.translate.miss', `queue ${vq.index}: ${hex(at)} is not mapped yet`);
    }
    if ((map.perm & perm) === 0) {
      throw new KernelError('EPERM', 'vhost.translate.permission', `queue ${vq.index}: ${hex(at)} may not be ${perm === VHOST_ACCESS_RO ? 'read' : 'written'}`);
    }
    const there = map.last - at + 1n;
    const now = there < left ? there : left;
    pieces.push({ base: map.addr + at - map.start, len: Number(now) });
    at += now;
    left -= now;
  }
  return pieces;
}

/** `vq_meta_prefetch`: whether every area of the ring is mapped, as far as a device with an IOTLB has to ask. */
export function prefetchMeta(k: VhostNeeds, vq: VirtqueueState): boolean {
  if (vq.dev.iotlb === null) return true;
  const size = ringSizes(vq);
  const areas = [[vq.desc, size.desc, VHOST_ACCESS_RO], [vq.avail, size.avail, VHOST_ACCESS_RO], [vq.used, size.used, VHOST_ACCESS_WO]] as const;
  try {
    for (const [addr, bytes, perm] of areas) translate(k, vq, addr, Number(bytes), perm, UIO_MAXIOV);
    return true;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return false; // told, or forbidden
  }
}
