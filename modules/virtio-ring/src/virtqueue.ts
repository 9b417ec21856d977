/** A virtqueue with its buffers mapped for the device. Mirrors `drivers/virtio/virtio_ring.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { DmaDirection, IommuSymbols } from '@vdpalab/iommu';
import { EIO, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '@vdpalab/uapi';
import { PackedDriver, SplitDriver } from '@vdpalab/vring';
import type { Sg, VirtioDevice, VringInit, Virtqueue } from './header.ts';
import { allocVring, type MemorySymbols, type VringMemory } from './vring-memory.ts';

/** What a virtqueue takes. */
export type VirtqueueSymbols =
  & MemorySymbols & Pick<IommuSymbols, 'dma_map_single' | 'dma_unmap_single'> & Pick<DriverCoreSymbols, 'dev_err'>;

/** One buffer in the ring: reused, so that none is made per buffer. */
interface Slot {
  data: unknown;
  pieces: number;
  readonly dma: number[];
  readonly len: number[];
  /** Pieces the device reads; the rest it writes. */
  out: number;
}

const TO: DmaDirection = 'DMA_TO_DEVICE';
const FROM: DmaDirection = 'DMA_FROM_DEVICE';
const has = (features: bigint, bit: number): boolean => (features & (1n << BigInt(bit))) !== 0n;

/** `struct vring_virtqueue`: a ring, split or packed, its memory and the buffers in it. */
export class VringVirtqueue implements Virtqueue {
  readonly name: string;
  readonly index: number;
  readonly vdev: VirtioDevice;
  readonly num_max: number;
  ring!: SplitDriver | PackedDriver;
  memory: VringMemory;
  readonly callback: VringInit['callback'];
  readonly notify: VringInit['notify'];
  priv: unknown = null;
  readonly #k: VirtqueueSymbols;
  readonly #dmaDev: Device;
  /** Without ACCESS_PLATFORM the device is given physical addresses. */
  readonly #useDma: boolean;
  readonly #packed: boolean;
  readonly #init: VringInit;
  #slots!: Slot[];
  #freeSlots!: Int32Array;
  #freeCount = 0;
  #segments = new Uint32Array(3 * 32);
  #reported = false;

  constructor(k: VirtqueueSymbols, init: VringInit) {
    this.#k = k;
    this.#init = init;
    this.name = init.name;
    this.index = init.index;
    this.vdev = init.vdev;
    this.num_max = init.num;
    this.callback = init.callback;
    this.notify = init.notify;
    this.#dmaDev = init.dma_dev;
    this.#useDma = has(init.features, VIRTIO_F_ACCESS_PLATFORM);
    this.#packed = has(init.features, VIRTIO_F_RING_PACKED);
    this.memory = this.#alloc(init);
    this.#open();
  }

  #alloc(init: VringInit): VringMemory {
    return allocVring(this.#k, init, { useDma: this.#useDma, packed: this.#packed, indirect: has(init.features, VIRTIO_RING_F_INDIRECT_DESC) });
  }

  /** An empty ring in the memory there is. */
  #open(): void {
    const { num, areas, indirect } = this.memory;
    const { features, callback } = this.#init;
    const options = { eventIdx: has(features, VIRTIO_RING_F_EVENT_IDX), indirect };
    this.ring = 'driver' in areas ? new PackedDriver(areas, options) : new SplitDriver(areas, options);
    if (callback === null) this.ring.disableCallbacks();
    this.#slots = Array.from({ length: num }, () => ({ data: undefined, pieces: 0, dma: [], len: [], out: 0 }));
    this.#freeSlots = Int32Array.from({ length: num }, (_, i) => num - 1 - i);
    this.#freeCount = num;
    this.#reported = false;
  }

  get num_free(): number {
    return this.ring.numFree;
  }

  get broken(): boolean {
    return this.ring.broken;
  }

  /** Buffers in the ring now. */
  get inFlight(): number {
    return this.#slots.length - this.#freeCount;
  }

  /** @throws EIO ENOSPC ENOMEM; nothing is added or mapped then */
  add(out: readonly Sg[], inp: readonly Sg[], data: unknown): Atomic {
    const total = out.length + inp.length;
    if (total === 0 || data === undefined) throw new TypeError(`${this.name}: a buffer needs pieces and a token`);
    if (this.ring.broken) throw new KernelError('EIO', 'virtio_ring.add.broken', `${this.name}: broken`);
    if (this.#freeCount === 0 || !this.#fits(total)) {
      if (out.length > 0) this.notify(this); // the device may be waiting for a kick that was put off
      throw new KernelError('ENOSPC', 'virtio_ring.add.full', `${this.name}: ${total} descriptors wanted, ${this.ring.numFree} free`);
    }
    const token = this.#freeSlots[this.#freeCount - 1] as number; // below the count all are set
    const slot = this.#slots[token] as Slot;
    this.#map(slot, out, inp);
    const err = this.ring.add(this.#segments, 0, out.length, inp.length, token);
    if (err !== 0) {
      this.#unmap(slot);
      throw new KernelError(err === -EIO ? 'EIO' : 'ENOSPC', 'virtio_ring.add.ring', `${this.name}: the ring refused ${total} descriptors`);
    }
    slot.data = data;
    this.#freeCount--;
    return undefined;
  }

  kickPrepare(): boolean {
    return this.ring.kickPrepare();
  }

  doNotify(): boolean {
    if (this.ring.broken) return false;
    if (this.notify(this)) return true;
    this.ring.breakRing();
    return false;
  }

  get(): { readonly data: unknown; readonly len: number } | null {
    const token = this.ring.get();
    if (token < 0) {
      this.#reportBroken();
      return null;
    }
    const len = this.ring.usedLength;
    return { data: this.#release(token), len };
  }

  detachUnused(): unknown {
    const token = this.ring.detachUnused();
    return token < 0 ? undefined : this.#release(token);
  }

  /** The device's interrupt: atomic. @returns whether buffers were used; a broken queue's callback does not run */
  interrupt(): boolean {
    if (!this.ring.moreUsed()) return false;
    if (!this.ring.broken) this.callback?.(this);
    return true;
  }

  /** Whole again. */
  unbreak(): Atomic {
    this.ring.broken = false;
    this.ring.brokenReason = '';
    this.#reported = false;
    return undefined;
  }

  /** `virtqueue_resize` */
  async resize(num: number, recycle: (vq: Virtqueue, data: unknown) => Atomic): Promise<void> {
    const { name, memory, num_max: max } = this;
    if (num > max) throw new KernelError('E2BIG', 'virtio_ring.resize.max', `${name}: ${num} descriptors of ${max}`);
    if (num === 0) throw new KernelError('EINVAL', 'virtio_ring.resize.zero', `${name}: ${num} descriptors`);
    if (num === memory.num) return;
    const { disable_vq_and_reset: disable, enable_vq_after_reset: enable } = this.vdev.config;
    if (disable === undefined || enable === undefined) {
      throw new KernelError('ENOENT', 'virtio_ring.resize.transport', `${name}: its transport resets no single queues`);
    }
    await disable(this);
    for (let data = this.detachUnused(); data !== undefined; data = this.detachUnused()) recycle(this, data);
    const refused = this.#replace(num);
    try {
      await enable(this);
    } catch (cause) {
      throw new KernelError('EBUSY', 'virtio_ring.resize.enable', `${this.name}: the device did not take it back`, { cause });
    }
    if (refused !== null) throw refused;
  }

  /** Another ring of this size, or the old one anew. @returns why it is the old one */
  #replace(num: number): KernelError | null {
    let refused: KernelError | null = null;
    try {
      if (!this.#packed && (num & (num - 1)) !== 0) throw new KernelError('EINVAL', 'virtio_ring.resize.size', `${this.name}: ${num} descriptors, not a power of two`);
      const memory = this.#alloc({ ...this.#init, num, may_reduce_num: false });
      this.memory.free();
      this.memory = memory;
    } catch (cause) {
      if (!isKernelError(cause)) throw cause;
      refused = new KernelError('ENOMEM', 'virtio_ring.resize.memory', `${this.name}: ${num} descriptors cannot be had, ${this.memory.num} stay`, { cause });
      this.memory.clear();
    }
    this.#open();
    return refused;
  }

  /** Give the memory back; buffers still in the ring are unmapped and forgotten. */
  destroy(): Atomic {
    for (const slot of this.#slots) if (slot.pieces > 0) this.#unmap(slot);
    return this.memory.free();
  }

  #fits(total: number): boolean {
    const { numFree } = this.ring;
    const { indirect } = this.memory;
    return numFree >= total || (indirect !== null && total <= indirect.segments && numFree > 0);
  }

  /** @throws ENOMEM; what was mapped before is unmapped */
  #map(slot: Slot, out: readonly Sg[], inp: readonly Sg[]): Atomic {
    const total = out.length + inp.length;
    if (this.#segments.length < 3 * total) this.#segments = new Uint32Array(6 * total);
    slot.pieces = 0;
    slot.out = out.length;
    try {
      for (let i = 0; i < total; i++) {
        const toDevice = i < out.length;
        const sg = (toDevice ? out[i] : inp[i - out.length]) as Sg; // i is below both lengths' sum
        const dma = this.#useDma ? this.#k.dma_map_single(this.#dmaDev, sg.pa, sg.len, toDevice ? TO : FROM) : sg.pa;
        slot.dma[i] = dma;
        slot.len[i] = sg.len;
        slot.pieces++;
        const high = dma > 0xffff_ffff ? Math.floor(dma / 2 ** 32) : 0;
        this.#segments[3 * i] = dma - high * 2 ** 32;
        this.#segments[3 * i + 1] = high;
        this.#segments[3 * i + 2] = sg.len;
      }
    } catch (error) {
      this.#unmap(slot);
      throw error;
    }
    return undefined;
  }

  #unmap(slot: Slot): Atomic {
    if (this.#useDma) {
      for (let i = 0; i < slot.pieces; i++) {
        this.#k.dma_unmap_single(this.#dmaDev, slot.dma[i] as number, slot.len[i] as number, i < slot.out ? TO : FROM);
      }
    }
    slot.pieces = 0;
    return undefined;
  }

  #release(token: number): unknown {
    const slot = this.#slots[token] as Slot; // the ring gives back only tokens it was given
    const { data } = slot;
    this.#unmap(slot);
    slot.data = undefined;
    this.#freeSlots[this.#freeCount++] = token;
    return data;
  }

  #reportBroken(): Atomic {
    if (this.ring.broken && !this.#reported && this.ring.brokenReason !== '') {
      this.#reported = true;
      this.#k.dev_err(this.vdev.dev, `${this.name}:${this.ring.brokenReason}`);
    }
    return undefined;
  }
}
