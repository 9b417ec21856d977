/** Taking chains off a ring that lies in user space. Mirrors `vhost_get_vq_desc` in `drivers/vhost/vhost.c` (Linux 6.1). */
import { KernelError, isKernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import {
  UIO_MAXIOV, VHOST_ACCESS_RO, VHOST_ACCESS_WO, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, vring_avail, vring_desc,
} from '@vdpalab/uapi';
import type { VringDesc } from '@vdpalab/uapi';
import type { VhostNeeds, VirtqueueState } from './dev.ts';
import { translate } from './device-iotlb.ts';
import type { VhostChain, VhostIovec, VhostLog } from './header.ts';

const USHRT_MAX = 0xffff;

/** A chain as it grows. */
interface Growing {
  readonly out: VhostIovec[];
  readonly in: VhostIovec[];
  readonly log: VhostLog[];
}

/** Takes one chain of one queue. */
class Taker {
  readonly #k: VhostNeeds;
  readonly #vq: VirtqueueState;
  readonly #chain: Growing = { out: [], in: [], log: [] };

  constructor(k: VhostNeeds, vq: VirtqueueState) {
    this.#k = k;
    this.#vq = vq;
  }

  take(): VhostChain | null {
    const vq = this.#vq;
    const avail = this.#u16(vq.avail + 2n, 'the available index');
    const ahead = (avail - vq.last_avail_idx) & USHRT_MAX;
    if (ahead > vq.num) this.#refuse('EFAULT', 'moved', `available index from ${vq.last_avail_idx} to ${avail}, more than ${vq.num} entries`);
    if (ahead === 0) return null;
    const head = this.#u16(vq.avail + BigInt(vring_avail.size + 2 * (vq.last_avail_idx % vq.num)), 'the head');
    if (head >= vq.num) this.#refuse('EINVAL', 'head', `head ${head} of ${vq.num}`);
    this.#walk(head);
    vq.last_avail_idx = (vq.last_avail_idx + 1) & USHRT_MAX;
    return { head, ...this.#chain };
  }

  #walk(head: number): void {
    const vq = this.#vq;
    let found = 0;
    for (let i: number | null = head; i !== null;) {
      if (i >= vq.num) this.#refuse('EINVAL', 'next', `descriptor ${i} of ${vq.num}, from head ${head}`);
      if (++found > vq.num) this.#refuse('EINVAL', 'loop', `more than ${vq.num} descriptors from head ${head}`);
      const desc = this.#descriptor(vq.desc + BigInt(i * vring_desc.size));
      if ((desc.flags & VRING_DESC_F_INDIRECT) !== 0) this.#indirect(desc);
      else this.#piece(desc);
      i = (desc.flags & VRING_DESC_F_NEXT) === 0 ? null : desc.next;
    }
  }

  #indirect({ addr, len }: VringDesc): void {
    if (len % vring_desc.size !== 0) this.#refuse('EINVAL', 'indirect-length', `a table of ${len} bytes`);
    const count = len / vring_desc.size;
    const table = this.#bytes(addr, len);
    if (count > USHRT_MAX + 1) this.#refuse('E2BIG', 'indirect-size', `a table of ${count} descriptors`);
    let found = 0;
    for (let i: number | null = 0; i !== null;) {
      if (++found > count) this.#refuse('EINVAL', 'indirect-loop', `more than ${count} descriptors in a table`);
      if (i >= count) this.#refuse('EINVAL', 'indirect-next', `descriptor ${i} of a table of ${count}`);
      const desc = vring_desc.decode(table.slice(i * vring_desc.size, (i + 1) * vring_desc.size));
      if ((desc.flags & VRING_DESC_F_INDIRECT) !== 0) this.#refuse('EINVAL', 'nested', 'a table inside a table');
      this.#piece(desc);
      i = (desc.flags & VRING_DESC_F_NEXT) === 0 ? null : desc.next;
    }
  }

  /** One buffer; those that are written come behind those that are read. */
  #piece({ addr, len, flags }: VringDesc): void {
    const { out, in: into, log } = this.#chain;
    const writes = (flags & VRING_DESC_F_WRITE) !== 0;
    const pieces = translate(this.#k, this.#vq, addr, len, writes ? VHOST_ACCESS_WO : VHOST_ACCESS_RO, UIO_MAXIOV - out.length - into.length);
    if (!writes && into.length > 0) this.#refuse('EINVAL', 'direction', 'a buffer to read behind one to write');
    (writes ? into : out).push(...pieces);
    if (writes) log.push({ addr, len });
  }

  #descriptor(addr: bigint): VringDesc {
    return vring_desc.decode(this.#ring(addr, vring_desc.size, 'a descriptor'));
  }

  #u16(addr: bigint, what: string): number {
    const [low = 0, high = 0] = this.#ring(addr, 2, what);
    return low | (high << 8);
  }

  /** Bytes of the ring itself: a miss there is a failure, see vq_meta_prefetch. @throws EFAULT */
  #ring(addr: bigint, len: number, what: string): Uint8Array {
    try {
      return this.#vq.dev.iotlb === null ? this.#user(addr, len) : this.#bytes(addr, len);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      throw new KernelError('EFAULT', 'vhost.vq-desc.ring', `queue ${this.#vq.index}: ${what} at 0x${addr.toString(16)} cannot be read`, { cause: error });
    }
  }

  /** Bytes at a guest's address. */
  #bytes(addr: bigint, len: number): Uint8Array {
    const pieces = translate(this.#k, this.#vq, addr, len, VHOST_ACCESS_RO, UIO_MAXIOV);
    return Uint8Array.from(pieces.flatMap((piece) => [...this.#user(piece.base, piece.len)]));
  }

  #user(addr: bigint, len: number): Uint8Array {
    const { mm } = this.#vq.dev;
    if (mm === null) throw new KernelError('EFAULT', 'vhost.vq-desc.owner', 'nobody owns the device');
    return mm.read(Number(addr), len);
  }

  #refuse(errno: ErrnoName, rule: string, text: string): never {
    throw new KernelError(errno, `vhost.vq-desc.${rule}`, `queue ${this.#vq.index}: ${text}`);
  }
}

/**
 * The next chain the driver has made available; `null` when there is none.
 *
 * @throws EINVAL E2BIG for a bad chain; EFAULT for memory that is not there; EAGAIN EPERM ENOBUFS see {@link translate}; the ring stays where it was then
 */
export function getVqDesc(k: VhostNeeds, vq: VirtqueueState): VhostChain | null {
  return new Taker(k, vq).take();
}
