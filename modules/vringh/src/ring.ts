/** One ring. Mirrors `struct vringh` of `drivers/vhost/vringh.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, ErrnoName } from '@vdpalab/abi';
import { errnoName, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { ChainBatch, ExtentCache, MirroredSplitDevice } from '@vdpalab/vring';
import type { Vringh, VringhKiov } from './header.ts';
import { IotlbTranslate, type TranslateSymbols } from './translate.ts';

/** Most pieces of one chain. */
const SEGMENTS_MAX = 1024;

/** What rings take. */
export interface RingSymbols extends TranslateSymbols {
  readonly _printk: (level: number, text: string, unfinished?: boolean) => Atomic;
}

const KERN_NOTICE = 5;
const KERN_WARNING = 4;
const DESC_SIZE = 16;
/** Bytes of a ring before its entries. */
const RING_HEAD = 4;
const USED_SIZE = 8;

/** Checks whose failure Linux leaves to the caller to speak of. */
const QUIET: ReadonlySet<string> = new Set(['vring.unmapped', 'vring.permission', 'vring.chain-length']);

/** `struct vringh` */
export class Ring implements Vringh {
  readonly num: number;
  readonly device: MirroredSplitDevice;
  /** Where data was found last. */
  readonly data: ExtentCache;
  readonly #k: RingSymbols;
  readonly #translate: IotlbTranslate;
  readonly #at: { readonly desc: number; readonly avail: number; readonly used: number };
  readonly #batch = new ChainBatch(1, SEGMENTS_MAX);

  /** @throws EINVAL for a size that is no power of two up to 32768, or an address of 2^53 and above */
  constructor(k: RingSymbols, features: bigint, num: number, desc: bigint, avail: bigint, used: bigint) {
    if (num === 0 || num > 0xffff || (num & (num - 1)) !== 0) {
      vringh_bad(k, `Bad ring size ${num}`);
      throw new KernelError('EINVAL', 'vringh.init.num', `ring size ${num} is no power of two up to 65535`);
    }
    const high = [desc, avail, used].find((address) => address > BigInt(Number.MAX_SAFE_INTEGER));
    if (high !== undefined) throw new KernelError('EINVAL', 'vringh.init.address', `0x${high.toString(16)} is above the addresses that are modelled`);
    this.num = num;
    this.#k = k;
    this.#translate = new IotlbTranslate(k);
    this.data = new ExtentCache(this.#translate);
    this.#at = { desc: Number(desc), avail: Number(avail), used: Number(used) };
    this.device = new MirroredSplitDevice({ num, ...this.#at }, {
      eventIdx: (features & (1n << BigInt(VIRTIO_RING_F_EVENT_IDX))) !== 0n, translate: this.#translate, maxChain: SEGMENTS_MAX, raw: true, threaded: true,
    });
  }

  get last_avail_idx(): number {
    return this.device.save().lastAvail;
  }

  set last_avail_idx(lastAvail: number) {
    this.device.restore({ ...this.device.save(), lastAvail });
  }

  get last_used_idx(): number {
    return this.device.save().lastUsed;
  }

  set last_used_idx(lastUsed: number) {
    this.device.restore({ ...this.device.save(), lastUsed });
  }

  /** The table that its addresses mean, from now on. */
  setIotlb(iotlb: Parameters<IotlbTranslate['set']>[0]): void {
    this.#translate.set(iotlb);
  }

  /**
   * Take the next chain; one that is refused is used up, unless its head is out of range.
   *
   * @param riov filled with what the device may read; null when the chain must have nothing of that kind
   * @returns its head; -1 when there is none
   * @throws EINVAL ELOOP EPROTO ENOBUFS EFAULT
   */
  next(riov: VringhKiov | null, wiov: VringhKiov | null): number {
    const batch = this.#batch;
    const taken = this.device.walk(batch, 1);
    if (taken === 0) return -1;
    if (taken < 0) throw this.#refusal(-taken);
    const [start, split, end] = [batch.start[0] as number, batch.split[0] as number, batch.start[1] as number]; // of a walk that took one
    if (riov === null && split > start) throw this.#unexpected('readable');
    if (wiov === null && end > split) throw this.#unexpected('writable');
    if (riov !== null) fill(riov, batch, start, split);
    if (wiov !== null) fill(wiov, batch, split, end);
    return batch.head[0] as number;
  }

  /**
   * Give a chain back.
   *
   * @param len bytes written into it
   */
  complete(head: number, len: number): Atomic {
    const { device } = this;
    const slot = device.save().lastUsed & (this.num - 1);
    device.rule = '';
    device.push(head, len);
    if (device.rule === 'vring.ring-access') vringh_bad(this.#k, `Failed to write 1 used entries ${slot} at ${pointer(this.#at.used + RING_HEAD + slot * USED_SIZE)}`);
    return undefined;
  }

  /** Linux's words for a check that failed: where it names a place, the ring's own is told. */
  #words(rule: string, reason: string): string {
    const { desc, avail } = this.#at;
    const index = Number(/\d+/.exec(reason)?.[0] ?? 0);
    switch (rule) {
      case 'vring.readable-after-writable': return `Readable desc ${pointer(desc + index * DESC_SIZE)} after writable`;
      case 'vring.desc-loop': return `Descriptor loop in ${pointer(desc)}`;
      case 'vring.ring-access': return /ring$/.test(reason)
        ? `Failed to read head: idx ${this.last_avail_idx} address ${pointer(avail + RING_HEAD + 2 * (this.last_avail_idx & (this.num - 1)))}`
        : `${reason} at ${pointer(avail + 2)}`;
      // An empty table is one whose first descriptor is already too many.
      case 'vring.indirect-length': return index === 0 ? `Descriptor loop in ${pointer(desc)}` : reason;
      default: return reason;
    }
  }

  #unexpected(kind: string): KernelError {
    vringh_bad(this.#k, `Unexpected ${kind} desc`);
    return new KernelError('EPROTO', `vringh.unexpected-${kind}`, `chain ${this.device.lastHead}: a ${kind} descriptor, and none is expected`);
  }

  #refusal(errno: number): KernelError {
    const { rule, reason } = this.device;
    if (!QUIET.has(rule)) vringh_bad(this.#k, this.#words(rule, reason));
    return new KernelError((errnoName(errno) ?? 'EINVAL') as ErrnoName, rule, reason); // one of those above
  }
}

/** A pointer as the log shows it. */
const pointer = (address: number): string => address.toString(16).padStart(16, '0');

/** `vringh_bad`: two records, neither of which ends its line, so the second is read only when something else is logged. */
function vringh_bad(k: RingSymbols, text: string): void {
  k._printk(KERN_NOTICE, 'vringh:', true);
  k._printk(KERN_WARNING, text, true);
}

function fill(iov: VringhKiov, batch: ChainBatch, from: number, to: number): void {
  iov.consumed = 0;
  iov.segments.length = 0;
  for (let s = from; s < to; s++) {
    iov.segments.push({ lo: batch.addrLo[s] as number, hi: batch.addrHi[s] as number, len: batch.length[s] as number }); // s is of the walk
  }
}
