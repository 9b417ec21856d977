/** The log of written pages: one bit for each page of guest memory. Mirrors `vhost_log_write` in `drivers/vhost/vhost.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx, Process } from '@vdpalab/fs';
import { VHOST_FILE_UNBIND, VHOST_PAGE_SIZE } from '@vdpalab/uapi';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import { vqLogAccessOk } from './access.ts';
import type { DevState, VhostNeeds, VirtqueueState } from './dev.ts';
import type { VhostIovec, VhostLog } from './header.ts';

const U64_MAX = (1n << 64n) - 1n;
const PAGE = BigInt(VHOST_PAGE_SIZE);

/** SET_LOG_BASE: where the bits are, in the owner's memory. @throws EFAULT for a log that cannot hold them all */
export function setLogBase(k: VhostNeeds, dev: DevState, arg: number, proc: Process): void {
  const bytes = proc.mm.read(arg, 8);
  const base = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  for (const vq of dev.vqs) {
    if (vq.private_data !== null && !vqLogAccessOk(k, vq, base)) {
      throw new KernelError('EFAULT', 'vhost.log.base', `queue ${vq.index}: a log at 0x${base.toString(16)} does not cover its memory`);
    }
    vq.log_base = base;
  }
}

/** SET_LOG_FD: signalled whenever bits are set. @throws EBADF EINVAL */
export function setLogFd(k: VhostNeeds, dev: DevState, arg: number, proc: Process): void {
  const bytes = proc.mm.read(arg, 4);
  const fd = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  const ctx: EventfdCtx | null = fd === VHOST_FILE_UNBIND ? null : k.eventfd_ctx_fdget(proc, fd);
  const old = dev.log_ctx;
  dev.log_ctx = ctx;
  if (old !== null) k.eventfd_ctx_put(old);
}

/** Set the bits of a range of guest memory. @throws EFAULT where the log is not mapped writable */
function logWrite(vq: VirtqueueState, addr: bigint, len: bigint): void {
  const { mm } = vq.dev;
  if (mm === null) throw new KernelError('EFAULT', 'vhost.log.owner', `queue ${vq.index}: nobody owns the device`);
  if (len === 0n) return;
  for (let page = addr / PAGE; page <= (addr + len - 1n) / PAGE; page++) {
    const at = vq.log_base + page / 8n;
    if (at > U64_MAX) throw new KernelError('EFAULT', 'vhost.log.wrap', `page ${page} is beyond the log's end`);
    const [byte = 0] = mm.read(Number(at), 1);
    mm.write(Number(at), Uint8Array.of(byte | (1 << Number(page % 8n))));
  }
}

/** Log what was written at addresses of the process, by the guest's addresses the table has for them. @throws EFAULT when it has none */
function logWriteHva(k: VhostNeeds, vq: VirtqueueState, table: VhostIotlb, { base, len }: VhostIovec): void {
  const last = base + BigInt(len) - 1n;
  let hit = false;
  for (let map = k.vhost_iotlb_itree_first(table, 0n, U64_MAX); map !== null; map = k.vhost_iotlb_itree_next(table, map, 0n, U64_MAX)) {
    const mapLast = map.addr + map.size - 1n;
    if (map.addr > last || mapLast < base) continue;
    const from = map.addr > base ? map.addr : base;
    const to = mapLast < last ? mapLast : last;
    logWrite(vq, map.start + from - map.addr, to - from + 1n);
    hit = true;
  }
  if (!hit) throw new KernelError('EFAULT', 'vhost.log.address', `queue ${vq.index}: the memory table has nothing at 0x${base.toString(16)}`);
}

/**
 * Log `len` bytes that were written to a chain.
 *
 * @param log the chain's guest addresses, in order
 * @param iov the same as addresses of the process; they count where the device has an IOTLB
 * @throws EFAULT for a log or an address that is not there; Error (a lab bug) when more was written than the chain holds
 */
export function vhostLogWrite(k: VhostNeeds, vq: VirtqueueState, log: readonly VhostLog[], len: number, iov: readonly VhostIovec[]): Atomic {
  const { dev } = vq;
  if (dev.iotlb !== null && dev.umem !== null) {
    for (const piece of iov) logWriteHva(k, vq, dev.umem, piece);
    return undefined;
  }
  let left = len;
  for (const piece of log) {
    const now = Math.min(piece.len, left);
    logWrite(vq, piece.addr, BigInt(now));
    left -= now;
    if (left === 0) return dev.log_ctx === null ? undefined : void k.eventfd_signal(dev.log_ctx, 1) as undefined;
  }
  throw new Error(`vhost_log_write: ${left} of ${len} bytes are beyond the chain`);
}
