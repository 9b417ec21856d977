/** A front-end that works on a parent's operations by hand: memory, a mapping of it, rings in it. */
import type { Atomic } from '@vdpalab/abi';
import { vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { ringMemory, SplitDriver, splitRingIn } from '@vdpalab/vring';
import type { RingMemory, SplitRingAreas } from '@vdpalab/vring';

/** Where the device finds the memory when the parent has an IOTLB of its own. */
export const RING_IOVA = 0x10_0000_0000n;
const PAGE_SIZE = 4096;
const RW = 3;

/** The operations rings need; `VdpaConfigOps` fits. */
interface RingOps<V> {
  readonly set_vq_num: (vdev: V, idx: number, num: number) => Atomic;
  readonly set_vq_address: (vdev: V, idx: number, desc: bigint, driver: bigint, device: bigint) => Atomic;
  readonly set_vq_cb: (vdev: V, idx: number, cb: { readonly callback: () => Atomic } | null) => Atomic;
  readonly set_vq_ready: (vdev: V, idx: number, ready: boolean) => Promise<void>;
  readonly kick_vq: (vdev: V, idx: number) => Atomic;
  readonly set_map?: (vdev: V, asid: number, iotlb: never) => Promise<void>;
  readonly dma_map?: (vdev: V, asid: number, iova: bigint, size: bigint, pa: bigint, perm: number, opaque: unknown) => Promise<void>;
}

/** A vDPA device as rings need it; `VdpaDevice` fits. */
export interface RingDevice {
  readonly dma_dev: object;
  readonly config: object;
}

/** Symbols, as the headers of `mm`, `vhost_iotlb` and `iommu` declare them. */
export interface RingKernel {
  readonly alloc_pages: (pages: number) => { readonly pa: number; readonly pages: number };
  readonly free_pages: (run: never) => Atomic;
  readonly phys_view: (pa: number, size: number) => Uint8Array;
  readonly vhost_iotlb_alloc: (limit: number, flags: number) => object;
  readonly vhost_iotlb_add_range: (iotlb: never, start: bigint, last: bigint, addr: bigint, perm: number) => Atomic;
  readonly dma_map_single: (dev: never, pa: number, size: number, dir: 'DMA_BIDIRECTIONAL') => number;
  readonly dma_unmap_single: (dev: never, dma: number, size: number, dir: 'DMA_BIDIRECTIONAL') => Atomic;
}

/** One queue: its ring, and the calls of its interrupt. */
export interface DirectQueue {
  readonly index: number;
  readonly ring: SplitDriver;
  readonly areas: SplitRingAreas;
  /** Interrupts so far. */
  calls: number;
}

/** Memory that a device reaches, and rings in it. */
export class DirectRings<V extends RingDevice> {
  readonly bytes: Uint8Array;
  readonly queues: DirectQueue[] = [];
  /** Address of the first byte, as the device knows it; 0 before {@link map}. */
  base = 0n;
  readonly #k: RingKernel;
  readonly #vdev: V;
  readonly #run: { readonly pa: number; readonly pages: number };
  readonly #memory: RingMemory;
  #next = 0;
  #dma: number | null = null;

  /** @param pages of memory for rings and buffers */
  constructor(k: RingKernel, vdev: V, pages = 64) {
    this.#k = k;
    this.#vdev = vdev;
    this.#run = k.alloc_pages(pages);
    this.bytes = k.phys_view(this.#run.pa, pages * PAGE_SIZE);
    const { buffer, byteOffset, length } = this.bytes;
    this.#memory = {
      ...ringMemory(new ArrayBuffer(0)), buffer, byteOffset, u8: this.bytes,
      u16: new Uint16Array(buffer, byteOffset, length >>> 1), u32: new Uint32Array(buffer, byteOffset, length >>> 2),
    };
  }

  get #ops(): RingOps<V> {
    return this.#vdev.config as RingOps<V>; // by contract of V
  }

  get #size(): number {
    return this.bytes.length;
  }

  /** Physical address of the memory. */
  get pa(): number {
    return this.#run.pa;
  }

  /** Make the memory reachable, the way the parent asks for: whole table, single mapping, or the DMA API of its device. */
  async map(asid = 0, base = RING_IOVA): Promise<void> {
    const { set_map: setMap, dma_map: dmaMap } = this.#ops;
    this.base = base;
    if (setMap !== undefined) {
      const table = this.#k.vhost_iotlb_alloc(0, 0);
      this.#k.vhost_iotlb_add_range(table as never, base, base + BigInt(this.#size) - 1n, BigInt(this.#run.pa), RW);
      return await setMap(this.#vdev, asid, table as never);
    }
    if (dmaMap !== undefined) return await dmaMap(this.#vdev, asid, base, BigInt(this.#size), BigInt(this.#run.pa), RW, null);
    this.#dma = this.#k.dma_map_single(this.#vdev.dma_dev as never, this.#run.pa, this.#size, 'DMA_BIDIRECTIONAL');
    this.base = BigInt(this.#dma);
  }

  /** Bytes for a buffer. @returns their offset in {@link bytes} */
  take(size: number): number {
    const at = this.#next;
    this.#next = Math.ceil((at + size) / 64) * 64;
    if (this.#next > this.#size) throw new RangeError(`${this.#next} bytes of ${this.#size}`);
    return at;
  }

  /** Set a queue up and enable it. */
  async queue(index: number, num = 16): Promise<DirectQueue> {
    const ringAt = Math.ceil(this.#next / PAGE_SIZE) * PAGE_SIZE;
    this.#next = ringAt;
    this.take(vring_desc_table_size(num) + vring_avail_size(num) + PAGE_SIZE + vring_used_size(num));
    const areas = splitRingIn(this.#memory, ringAt, num, PAGE_SIZE);
    const queue: DirectQueue = { index, ring: new SplitDriver(areas), areas, calls: 0 };
    const ops = this.#ops;
    const at = (area: { readonly offset: number }): bigint => this.base + BigInt(area.offset);
    ops.set_vq_num(this.#vdev, index, num);
    ops.set_vq_address(this.#vdev, index, at(areas.desc), at(areas.avail), at(areas.used));
    ops.set_vq_cb(this.#vdev, index, {
      callback: () => {
        queue.calls++;
        return undefined;
      },
    });
    await ops.set_vq_ready(this.#vdev, index, true);
    this.queues[index] = queue;
    return queue;
  }

  /** Offer one chain of pieces `[offset, length]`; kick when told to. @returns the token it comes back with */
  offer(queue: DirectQueue, out: readonly (readonly [number, number])[], inp: readonly (readonly [number, number])[], token: number, kick = true): Atomic {
    const pieces = [...out, ...inp];
    const segments = new Uint32Array(3 * pieces.length);
    pieces.forEach(([offset, length], i) => {
      const address = this.base + BigInt(offset);
      segments.set([Number(address & 0xffff_ffffn), Number(address >> 32n), length], 3 * i);
    });
    const error = queue.ring.add(segments, 0, out.length, inp.length, token);
    if (error !== 0) throw new Error(`the ring refuses a chain of ${pieces.length}: ${error}`);
    const wanted = queue.ring.kickPrepare();
    if (kick && wanted) this.#ops.kick_vq(this.#vdev, queue.index);
    return undefined;
  }

  /** Chains that have come back, in order: `[token, bytes written]`. */
  used({ ring }: DirectQueue): (readonly [number, number])[] {
    const got: (readonly [number, number])[] = [];
    for (let token = ring.get(); token >= 0; token = ring.get()) got.push([token, ring.usedLength]);
    return got;
  }

  /** Give the memory back; the device must have been reset. */
  free(): Atomic {
    if (this.#dma !== null) this.#k.dma_unmap_single(this.#vdev.dma_dev as never, this.#dma, this.#size, 'DMA_BIDIRECTIONAL');
    return this.#k.free_pages(this.#run as never);
  }
}
