/** One ring and the segments of its chains. Mirrors `struct vringh` of `drivers/vhost/vringh.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, ErrnoName } from '@vdpalab/abi';
import { errnoName, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { ChainBatch, GatheredSplitDevice } from '@vdpalab/vring';
import type { RingMemory } from '@vdpalab/vring';
import type { Vringh, VringhKiov } from './header.ts';
import { IotlbTranslate, type TranslateSymbols } from './translate.ts';

/** Most segments of one chain. */
const SEGMENTS_MAX = 1024;

/** What rings take. */
export interface RingSymbols extends TranslateSymbols {
  readonly _printk: (level: number, text: string) => Atomic;
}

const KERN_NOTICE = 5;

/** Checks whose failure Linux leaves to the caller to speak of. */
const QUIET: ReadonlySet<string> = new Set(['vring.unmapped', 'vring.permission', 'vring.chain-length']);

/** Segments of one direction, and how far they have been consumed. */
export class Kiov implements VringhKiov {
  readonly segments: { pa: number; len: number }[] = [];
  consumed = 0;

  clear(): void {
    this.segments.length = 0;
    this.consumed = 0;
  }
}

/** Bytes not consumed yet. */
export function kiovLength(iov: VringhKiov): number {
  return iov.segments.reduce((sum, segment) => sum + segment.len, 0) - iov.consumed;
}

/**
 * Go through what is left of the segments, at most `bytes`, and consume it.
 *
 * @param piece called with each stretch of memory and its offset in the transfer
 * @returns bytes consumed
 */
export function transfer(k: Pick<RingSymbols, 'machine'>, iov: VringhKiov, bytes: number, piece: (memory: Uint8Array, at: number) => void): number {
  let skip = iov.consumed;
  let done = 0;
  for (const { pa, len } of iov.segments) {
    const from = Math.min(skip, len);
    skip -= from;
    const take = Math.min(len - from, bytes - done);
    if (take > 0) piece(k.machine.ram.view(pa + from, take), done);
    done += Math.max(take, 0);
  }
  iov.consumed += done;
  return done;
}

/** `struct vringh` */
export class Ring implements Vringh {
  readonly num: number;
  readonly #k: RingSymbols;
  readonly #translate: IotlbTranslate;
  readonly device: GatheredSplitDevice;
  readonly #batch = new ChainBatch(1, SEGMENTS_MAX);

  /** @throws EINVAL for a size that is no power of two up to 32768, or an address of 2^53 and above */
  constructor(k: RingSymbols, features: bigint, num: number, desc: bigint, avail: bigint, used: bigint) {
    if (num === 0 || num > 0xffff || (num & (num - 1)) !== 0) {
      k._printk(KERN_NOTICE, `vringh:Bad ring size ${num}`);
      throw new KernelError('EINVAL', 'vringh.init.num', `ring size ${num} is no power of two up to 65535`);
    }
    const high = [desc, avail, used].find((address) => address > BigInt(Number.MAX_SAFE_INTEGER));
    if (high !== undefined) throw new KernelError('EINVAL', 'vringh.init.address', `0x${high.toString(16)} is above the addresses that are modelled`);
    this.num = num;
    this.#k = k;
    this.#translate = new IotlbTranslate(k);
    this.device = new GatheredSplitDevice({ num, desc: Number(desc), avail: Number(avail), used: Number(used) }, {
      eventIdx: (features & (1n << BigInt(VIRTIO_RING_F_EVENT_IDX))) !== 0n, translate: this.#translate, maxChain: SEGMENTS_MAX,
    });
  }

  get last_avail_idx(): number {
    return this.device.save().lastAvail;
  }

  get last_used_idx(): number {
    return this.device.save().lastUsed;
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
   * @throws EINVAL ELOOP EPROTO ENOBUFS EPERM EFAULT
   */
  next(riov: VringhKiov | null, wiov: VringhKiov | null): number {
    const batch = this.#batch;
    const taken = this.device.walk(batch, 1);
    if (taken === 0) return -1;
    if (taken < 0) throw this.#refusal(-taken);
    const [start, split, end] = [batch.start[0] ?? 0, batch.split[0] ?? 0, batch.start[1] ?? 0];
    if (riov === null && split > start) throw this.#unexpected('readable');
    if (wiov === null && end > split) throw this.#unexpected('writable');
    for (const [iov, from, to] of [[riov, start, split], [wiov, split, end]] as const) {
      if (iov === null) continue;
      iov.consumed = 0;
      iov.segments.length = 0;
      for (let s = from; s < to; s++) {
        iov.segments.push({ pa: this.#physical(batch.memory[s] ?? null, batch.offset[s] ?? 0), len: batch.length[s] ?? 0 });
      }
    }
    return batch.head[0] ?? -1;
  }

  /** Memory of segments is a RAM region, see {@link IotlbTranslate}. */
  #physical(memory: RingMemory | null, offset: number): number {
    const region = this.#k.machine.ram.regions.find((r) => (r as RingMemory) === memory);
    if (region === undefined) throw new Error('vringh: a segment that is in no RAM region');
    return region.base + offset;
  }

  #unexpected(kind: string): KernelError {
    this.#k._printk(KERN_NOTICE, `vringh:Unexpected ${kind} desc`);
    return new KernelError('EPROTO', `vringh.unexpected-${kind}`, `chain ${this.device.lastHead}: a ${kind} descriptor, and none is expected`);
  }

  #refusal(errno: number): KernelError {
    const { rule, reason } = this.device;
    if (!QUIET.has(rule)) this.#k._printk(KERN_NOTICE, `vringh:${reason}`);
    return new KernelError((errnoName(errno) ?? 'EINVAL') as ErrnoName, rule, reason); // one of those above
  }
}
