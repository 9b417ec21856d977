/** A front-end that works on a parent's operations by hand: memory, a mapping of it, rings in it. */
import type { Atomic } from '@vdpalab/abi';
import { DriverRings } from './driver-rings.ts';
import type { DriverQueue, Piece } from './driver-rings.ts';

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

/** One queue, and the calls of its interrupt. */
export interface DirectQueue extends DriverQueue {
  /** Interrupts so far. */
  calls: number;
}

/** Memory that a device reaches, and rings in it. */
export class DirectRings<V extends RingDevice> extends DriverRings<DirectQueue> {
  readonly #k: RingKernel;
  readonly #vdev: V;
  readonly #run: { readonly pa: number; readonly pages: number };
  #dma: number | null = null;

  /** @param pages of memory for rings and buffers */
  constructor(k: RingKernel, vdev: V, pages = 64) {
    const run = k.alloc_pages(pages);
    super(k.phys_view(run.pa, pages * PAGE_SIZE));
    this.#k = k;
    this.#vdev = vdev;
    this.#run = run;
  }

  get #ops(): RingOps<V> {
    return this.#vdev.config as RingOps<V>; // by contract of V
  }

  /** Make the memory reachable, the way the parent asks for: whole table, single mapping, or the DMA API of its device. */
  async map(asid = 0, base = RING_IOVA): Promise<void> {
    const { set_map: setMap, dma_map: dmaMap } = this.#ops;
    const size = this.bytes.length;
    this.base = base;
    if (setMap !== undefined) {
      const table = this.#k.vhost_iotlb_alloc(0, 0);
      this.#k.vhost_iotlb_add_range(table as never, base, base + BigInt(size) - 1n, BigInt(this.#run.pa), RW);
      return await setMap(this.#vdev, asid, table as never);
    }
    if (dmaMap !== undefined) return await dmaMap(this.#vdev, asid, base, BigInt(size), BigInt(this.#run.pa), RW, null);
    this.#dma = this.#k.dma_map_single(this.#vdev.dma_dev as never, this.#run.pa, size, 'DMA_BIDIRECTIONAL');
    this.base = BigInt(this.#dma);
  }

  /** Set a queue up and enable it. */
  async queue(index: number, num = 16): Promise<DirectQueue> {
    const { ring, areas, at } = this.layOut(num);
    const queue: DirectQueue = { index, ring, areas, calls: 0 };
    const ops = this.#ops;
    ops.set_vq_num(this.#vdev, index, num);
    ops.set_vq_address(this.#vdev, index, ...at);
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

  /** Offer one chain, and ring the doorbell when the device wants it. */
  give(queue: DirectQueue, out: readonly Piece[], inp: readonly Piece[], token: number): Atomic {
    if (this.offer(queue, out, inp, token)) this.#ops.kick_vq(this.#vdev, queue.index);
    return undefined;
  }

  /** Give the memory back; the device must have been reset. */
  free(): Atomic {
    if (this.#dma !== null) this.#k.dma_unmap_single(this.#vdev.dma_dev as never, this.#dma, this.bytes.length, 'DMA_BIDIRECTIONAL');
    return this.#k.free_pages(this.#run as never);
  }
}
