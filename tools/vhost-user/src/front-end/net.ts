/** A guest's network driver and its VMM in one: rings and buffers in a memory file, over a vhost-user socket. */
import { closeSync } from 'node:fs';
import { eventfd, mapInside, memfd, signalEventfd, takeEventfd, watchReadable, type Mapping, type Watch } from '@vdpalab/libc';
import { sharedMemory } from '@vdpalab/machine';
import { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF } from '@vdpalab/uapi';
import { ringMemory, SplitDriver, splitRingIn, type RingMemory, type SplitRingAreas } from '@vdpalab/vring';
import * as pf from '../protocol/features.ts';
import { decodeState, decodeU64, encodeMemTable, encodeState, encodeU64, encodeVringAddr, type MemoryRegionEntry } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import { VhostUserClient } from './client.ts';

/** Bytes of a `struct virtio_net_hdr_v1`. */
const HDR = 12;
const BUFFER = 2048;
const RX = 0;
const TX = 1;
const READY = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

/** How the front-end is made. */
export interface FrontEndOptions {
  /** Descriptors of each ring; 64 when absent. */
  readonly num?: number;
  /** Guest physical address of its memory; 0x4000_0000 when absent. */
  readonly gpa?: number;
  /** Features to take besides VERSION_1, MRG_RXBUF and protocol features, where offered. */
  readonly features?: bigint;
  /** Protocol features to leave out. */
  readonly without?: bigint;
}

/** One of its rings. */
interface Queue {
  readonly areas: SplitRingAreas;
  readonly ring: SplitDriver;
  readonly kick: number;
  readonly call: number;
}

/** A front-end with one pair of queues. */
export class FrontEndNet {
  readonly client: VhostUserClient;
  readonly num: number;
  readonly gpa: number;
  /** Bytes of its memory. */
  readonly size: number;
  readonly memory: RingMemory;
  readonly memoryFd: number;
  features = 0n;
  protocolFeatures = 0n;
  /** Interrupts that came. */
  calls = 0;
  readonly #options: FrontEndOptions;
  #mapping: Mapping;
  readonly #queues: [Queue, Queue];
  readonly #watches: Watch[] = [];
  #free: number[] = [];
  readonly #segment = new Uint32Array(3);
  #waiting: (() => void) | null = null;

  constructor(path: string, options: FrontEndOptions = {}) {
    this.#options = options;
    this.client = new VhostUserClient(path);
    this.num = options.num ?? 64;
    this.gpa = options.gpa ?? 0x4000_0000;
    this.size = 0x1_0000 * Math.ceil((2 * this.#ringBytes + 2 * this.num * BUFFER) / 0x1_0000);
    this.memoryFd = memfd('guest', this.size);
    const wasm = sharedMemory(this.size);
    this.#mapping = mapInside(wasm.buffer, 0, this.size, this.memoryFd, 0);
    this.memory = ringMemory(wasm);
    this.#queues = [this.#queue(RX), this.#queue(TX)];
  }

  get #ringBytes(): number {
    return 4096 * Math.ceil((this.num * 26 + 64) / 4096);
  }

  /** The one region of its memory. */
  get region(): MemoryRegionEntry {
    return { guestPhysAddr: BigInt(this.gpa), memorySize: BigInt(this.size), userspaceAddr: this.#user(0), mmapOffset: 0n };
  }

  /** Where guest memory lies for the front-end itself: any number but the guest's. */
  #user(offset: number): bigint {
    return 0x7f00_0000_0000n + BigInt(offset);
  }

  #queue(index: number): Queue {
    const areas = splitRingIn(this.memory, index * this.#ringBytes, this.num);
    return { areas, ring: new SplitDriver(areas, { threaded: true }), kick: eventfd(), call: eventfd() };
  }

  /** Agree on features and owner. */
  async negotiate(): Promise<void> {
    const { client } = this;
    const offered = decodeU64((await client.ask(req.VHOST_USER_GET_FEATURES)).payload);
    if (pf.has(offered, pf.VHOST_USER_F_PROTOCOL_FEATURES)) {
      const all = decodeU64((await client.ask(req.VHOST_USER_GET_PROTOCOL_FEATURES)).payload);
      this.protocolFeatures = all & ~(this.#options.without ?? 0n);
      client.send(req.VHOST_USER_SET_PROTOCOL_FEATURES, encodeU64(this.protocolFeatures));
    }
    client.send(req.VHOST_USER_SET_OWNER);
    this.features = offered & (pf.bits(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, pf.VHOST_USER_F_PROTOCOL_FEATURES) | (this.#options.features ?? 0n));
    await this.#done(req.VHOST_USER_SET_FEATURES, encodeU64(this.features));
  }

  /** Send a request; wait for its success where that can be asked for. @throws Error when it failed */
  async #done(request: number, payload: Uint8Array, fds: readonly number[] = []): Promise<void> {
    if (!pf.has(this.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK)) return this.client.send(request, payload, fds);
    if (await this.client.ack(request, payload, fds) !== 0n) throw new Error(`the back-end refuses ${req.requestName(request)}`);
  }

  /** Give the back-end memory and rings, and let it go. @param bases next available entry of each ring */
  async start(bases: readonly [number, number] = [0, 0]): Promise<void> {
    await this.#done(req.VHOST_USER_SET_MEM_TABLE, encodeMemTable([this.region]), [this.memoryFd]);
    for (const index of [RX, TX]) await this.#startRing(index, bases[index] ?? 0);
    for (const index of [RX, TX]) {
      if (pf.has(this.features, pf.VHOST_USER_F_PROTOCOL_FEATURES)) await this.#done(req.VHOST_USER_SET_VRING_ENABLE, encodeState({ index, num: 1 }));
    }
    if (pf.has(this.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_STATUS)) await this.#done(req.VHOST_USER_SET_STATUS, encodeU64(READY | VIRTIO_CONFIG_S_DRIVER_OK));
    if (this.#watches.length > 0) return;
    for (const { call } of this.#queues) this.#watches.push(watchReadable(call, () => this.#called(call)));
    this.#free = Array.from({ length: this.num }, (_, i) => i);
    for (let i = 0; i < this.num; i++) this.#give(i);
    this.#kick(RX);
  }

  async #startRing(index: number, base: number): Promise<void> {
    const { kick, call } = this.#at(index);
    await this.#done(req.VHOST_USER_SET_VRING_NUM, encodeState({ index, num: this.num }));
    await this.#done(req.VHOST_USER_SET_VRING_BASE, encodeState({ index, num: base }));
    await this.#done(req.VHOST_USER_SET_VRING_ADDR, this.vringAddr(index));
    await this.#done(req.VHOST_USER_SET_VRING_CALL, encodeU64(index), [call]);
    await this.#done(req.VHOST_USER_SET_VRING_KICK, encodeU64(index), [kick]);
  }

  /** Pages of its memory that only the driver writes besides buffers: descriptors and available rings. */
  driverPages(): number[] {
    const pages = new Set<number>();
    for (const { areas: { desc, avail, used } } of this.#queues) {
      for (let at = desc.offset; at < used.offset; at += 16) pages.add(Math.floor(at / 4096));
      pages.add(Math.floor((avail.offset + 1) / 4096));
    }
    return [...pages];
  }

  /** SET_VRING_ADDR of a ring. @param flags VHOST_VRING_F_LOG; the log is of the used ring's guest address */
  vringAddr(index: number, flags = 0): Uint8Array {
    const { desc, avail, used } = this.#at(index).areas;
    return encodeVringAddr({
      index, flags, desc: this.#user(desc.offset), avail: this.#user(avail.offset), used: this.#user(used.offset), log: BigInt(this.gpa + used.offset),
    });
  }

  /** Stop the rings. @returns where the back-end was in each */
  async stop(): Promise<readonly [number, number]> {
    const base = async (index: number): Promise<number> => decodeState((await this.client.ask(req.VHOST_USER_GET_VRING_BASE, encodeState({ index, num: 0 }))).payload).num;
    return [await base(RX), await base(TX)];
  }

  /** Send a frame. @returns false when all buffers are under way */
  send(frame: Uint8Array): boolean {
    this.#reclaim();
    const buffer = this.#free.pop();
    if (buffer === undefined) return false;
    const at = this.#bufferAt(TX, buffer);
    this.memory.u8.fill(0, at, at + HDR);
    this.memory.u8.set(frame, at + HDR);
    this.#put(at, HDR + frame.length);
    if (this.#at(TX).ring.add(this.#segment, 0, 1, 0, buffer) !== 0) throw new Error('the transmit ring refuses a buffer');
    this.#kick(TX);
    return true;
  }

  /** Frames that have arrived, in order. */
  receive(): Uint8Array[] {
    const { ring } = this.#at(RX);
    const frames: Uint8Array[] = [];
    for (let token = ring.get(); token >= 0; token = ring.get()) {
      const at = this.#bufferAt(RX, token);
      frames.push(this.memory.u8.slice(at + HDR, at + ring.usedLength));
      this.#give(token);
    }
    if (frames.length > 0) this.#kick(RX);
    return frames;
  }

  /** Wait for this many frames. */
  async frames(count: number): Promise<Uint8Array[]> {
    const all = this.receive();
    while (all.length < count) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
      all.push(...this.receive());
    }
    return all;
  }

  /** Buffers of sent frames that have not come back. */
  get underWay(): number {
    this.#reclaim();
    return this.num - this.#free.length;
  }

  /** Look at the memory no more, as its file is about to change; the driver is over. */
  letGo(): void {
    this.#mapping.unmap();
    this.#mapping = { ...this.#mapping, unmap: () => undefined };
  }

  /** Kick the transmit ring, for no reason. */
  kickAgain(): void {
    signalEventfd(this.#at(TX).kick);
  }

  /** Leave as a process that ends does. */
  close(): void {
    this.client.close();
    for (const watch of this.#watches.splice(0)) watch.close();
    for (const { kick, call } of this.#queues) {
      closeSync(kick);
      closeSync(call);
    }
    this.#mapping.unmap();
    closeSync(this.memoryFd);
  }

  #at(index: number): Queue {
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`ring ${index}`);
    return queue;
  }

  #bufferAt(index: number, buffer: number): number {
    return 2 * this.#ringBytes + (index * this.num + buffer) * BUFFER;
  }

  #put(at: number, length: number): void {
    const gpa = this.gpa + at;
    this.#segment[0] = gpa >>> 0;
    this.#segment[1] = Math.floor(gpa / 0x1_0000_0000);
    this.#segment[2] = length;
  }

  #give(buffer: number): void {
    this.#put(this.#bufferAt(RX, buffer), BUFFER);
    if (this.#at(RX).ring.add(this.#segment, 0, 0, 1, buffer) !== 0) throw new Error('the receive ring refuses a buffer');
  }

  #reclaim(): void {
    const { ring } = this.#at(TX);
    for (let token = ring.get(); token >= 0; token = ring.get()) this.#free.push(token);
  }

  #kick(index: number): void {
    const { ring, kick } = this.#at(index);
    if (ring.kickPrepare()) signalEventfd(kick);
  }

  #called(call: number): void {
    this.calls += takeEventfd(call);
    const wake = this.#waiting;
    this.#waiting = null;
    wake?.();
  }
}
