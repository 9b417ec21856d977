/** A guest's network driver and its VMM in one: rings and buffers in a memory file, over a vhost-user socket. */
import { closeSync } from 'node:fs';
import { eventfd, mapInside, memfd, signalEventfd, takeEventfd, watchReadable, type Mapping, type Watch } from '@vdpalab/libc';
import { sharedMemory } from '@vdpalab/machine';
import { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, virtio_net_hdr, virtio_net_hdr_v1, vring_size, vring_used_size } from '@vdpalab/uapi';
import { ringMemory, SplitDriver, splitRingIn, type RingMemory, type SplitRingAreas } from '@vdpalab/vring';
import * as pf from '../protocol/features.ts';
import { decodeState, decodeU64, encodeMemTable, encodeState, encodeU64, encodeVringAddr, type MemoryRegionEntry } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import { VhostUserClient } from './client.ts';

const BUFFER = 2048;
/** Where a used ring starts by the legacy rule, and what rings are laid out in. */
const PAGE = 4096;
const READY = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

/** How the front-end is made. */
export interface FrontEndOptions {
  /** Pairs of queues; 1 when absent. */
  readonly pairs?: number;
  /** A driver of virtio 0.95: no VERSION_1, and each used ring on a page of its own. */
  readonly legacy?: boolean;
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

/** A front-end with pairs of queues: the even rings receive. */
export class FrontEndNet {
  /** Rings: two for each pair. */
  readonly rings: number;
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
  #client: VhostUserClient;
  readonly #options: FrontEndOptions;
  #mapping: Mapping;
  readonly #queues: readonly Queue[];
  readonly #watches: Watch[] = [];
  /** Buffers that nobody has, of each transmit ring. */
  readonly #free: number[][] = [];
  readonly #segment = new Uint32Array(3);
  #waiting: (() => void) | null = null;

  constructor(path: string, options: FrontEndOptions = {}) {
    this.#options = options;
    this.#client = new VhostUserClient(path);
    this.num = options.num ?? 64;
    this.gpa = options.gpa ?? 0x4000_0000;
    this.rings = 2 * (options.pairs ?? 1);
    this.size = 0x1_0000 * Math.ceil(this.rings * (this.#ringBytes + this.num * BUFFER) / 0x1_0000);
    this.memoryFd = memfd('guest', this.size);
    const wasm = sharedMemory(this.size);
    this.#mapping = mapInside(wasm.buffer, 0, this.size, this.memoryFd, 0);
    this.memory = ringMemory(wasm);
    this.#queues = Array.from({ length: this.rings }, (_, index) => this.#queue(index));
  }

  /** The connection. */
  get client(): VhostUserClient {
    return this.#client;
  }

  /** Bytes of one ring, in whole pages. */
  get #ringBytes(): number {
    return PAGE * Math.ceil(vring_size(this.num, this.#ringAlign) / PAGE);
  }

  get #ringAlign(): number {
    return this.#options.legacy === true ? PAGE : 4;
  }

  /** Bytes before each frame. */
  get #header(): number {
    return pf.has(this.features, VIRTIO_F_VERSION_1) || pf.has(this.features, VIRTIO_NET_F_MRG_RXBUF) ? virtio_net_hdr_v1.size : virtio_net_hdr.size;
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
    const areas = splitRingIn(this.memory, index * this.#ringBytes, this.num, this.#ringAlign);
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
    this.features = offered & (this.#wanted | (this.#options.features ?? 0n));
    await this.done(req.VHOST_USER_SET_FEATURES, encodeU64(this.features));
  }

  get #wanted(): bigint {
    return this.#options.legacy === true ? pf.bits(pf.VHOST_USER_F_PROTOCOL_FEATURES) : pf.bits(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, pf.VHOST_USER_F_PROTOCOL_FEATURES);
  }

  /** Go on at another back-end, as a guest that has moved: same memory, same rings. @param bases where the last back-end was in each ring */
  async moveTo(path: string, bases: readonly number[]): Promise<void> {
    this.#client.close();
    this.#client = new VhostUserClient(path);
    await this.negotiate();
    await this.start(bases);
  }

  /** Send a request; wait for its success where that can be asked for. @throws Error when it failed */
  async done(request: number, payload: Uint8Array, fds: readonly number[] = []): Promise<void> {
    if (!pf.has(this.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK)) return this.client.send(request, payload, fds);
    if (await this.client.ack(request, payload, fds) !== 0n) throw new Error(`the back-end refuses ${req.requestName(request)}`);
  }

  /** Give the back-end memory and rings, and let it go. @param bases next available entry of each ring; 0 when absent */
  async start(bases: readonly number[] = []): Promise<void> {
    await this.done(req.VHOST_USER_SET_MEM_TABLE, encodeMemTable([this.region]), [this.memoryFd]);
    for (let index = 0; index < this.rings; index++) await this.#startRing(index, bases[index] ?? 0);
    for (let index = 0; index < this.rings; index++) {
      if (pf.has(this.features, pf.VHOST_USER_F_PROTOCOL_FEATURES)) await this.done(req.VHOST_USER_SET_VRING_ENABLE, encodeState({ index, num: 1 }));
    }
    if (pf.has(this.protocolFeatures, pf.VHOST_USER_PROTOCOL_F_STATUS)) await this.done(req.VHOST_USER_SET_STATUS, encodeU64(READY | VIRTIO_CONFIG_S_DRIVER_OK));
    if (this.#watches.length > 0) return;
    for (const [index, { call }] of this.#queues.entries()) {
      this.#watches.push(watchReadable(call, () => this.#called(call)));
      if (index % 2 === 1) this.#free[index] = Array.from({ length: this.num }, (_, i) => i);
      else {
        for (let i = 0; i < this.num; i++) this.#give(index, i);
        this.#kick(index);
      }
    }
  }

  async #startRing(index: number, base: number): Promise<void> {
    const { kick, call } = this.#at(index);
    await this.done(req.VHOST_USER_SET_VRING_NUM, encodeState({ index, num: this.num }));
    await this.done(req.VHOST_USER_SET_VRING_BASE, encodeState({ index, num: base }));
    await this.done(req.VHOST_USER_SET_VRING_ADDR, this.vringAddr(index));
    await this.done(req.VHOST_USER_SET_VRING_CALL, encodeU64(index), [call]);
    await this.done(req.VHOST_USER_SET_VRING_KICK, encodeU64(index), [kick]);
  }

  /** Pages of its memory that a used ring is in. */
  usedPages(index: number): number[] {
    const { used } = this.#at(index).areas;
    const first = Math.floor(used.offset / PAGE);
    return Array.from({ length: Math.ceil((used.offset + vring_used_size(this.num)) / PAGE) - first }, (_, i) => first + i);
  }

  /** SET_VRING_ADDR of a ring. @param flags VHOST_VRING_F_LOG; the log is of the used ring's guest address */
  vringAddr(index: number, flags = 0): Uint8Array {
    const { desc, avail, used } = this.#at(index).areas;
    return encodeVringAddr({
      index, flags, desc: this.#user(desc.offset), avail: this.#user(avail.offset), used: this.#user(used.offset), log: BigInt(this.gpa + used.offset),
    });
  }

  /** Stop the rings. @returns where the back-end was in each */
  async stop(): Promise<number[]> {
    const bases: number[] = [];
    for (let index = 0; index < this.rings; index++) {
      bases.push(decodeState((await this.client.ask(req.VHOST_USER_GET_VRING_BASE, encodeState({ index, num: 0 }))).payload).num);
    }
    return bases;
  }

  /** Send a frame. @returns false when all buffers of the pair are under way */
  send(frame: Uint8Array, pair = 0): boolean {
    const index = 2 * pair + 1;
    this.#reclaim(index);
    const buffer = this.#free[index]?.pop();
    if (buffer === undefined) return false;
    const at = this.#bufferAt(index, buffer);
    const header = this.#header;
    this.memory.u8.fill(0, at, at + header);
    this.memory.u8.set(frame, at + header);
    this.#put(at, header + frame.length);
    if (this.#at(index).ring.add(this.#segment, 0, 1, 0, buffer) !== 0) throw new Error('the transmit ring refuses a buffer');
    this.#kick(index);
    return true;
  }

  /** Frames that have arrived, in order for each ring. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let index = 0; index < this.rings; index += 2) this.#receiveFrom(index, frames);
    return frames;
  }

  #receiveFrom(index: number, frames: Uint8Array[]): void {
    const { ring } = this.#at(index);
    const before = frames.length;
    for (let token = ring.get(); token >= 0; token = ring.get()) {
      const at = this.#bufferAt(index, token);
      frames.push(this.memory.u8.slice(at + this.#header, at + ring.usedLength));
      this.#give(index, token);
    }
    if (frames.length > before) this.#kick(index);
  }

  /** Take no interrupts for what arrives from now on. */
  poll(): void {
    for (let index = 0; index < this.rings; index += 2) this.#at(index).ring.disableCallbacks();
  }

  /** Whether something has arrived. */
  get arrived(): boolean {
    return this.#queues.some(({ ring }, index) => index % 2 === 0 && ring.moreUsed());
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

  /** Wait for the first interrupt, which may come after what it is about was seen. */
  async interrupted(): Promise<void> {
    while (this.calls === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  /** Buffers of sent frames that have not come back. */
  get underWay(): number {
    let count = 0;
    for (let index = 1; index < this.rings; index += 2) {
      this.#reclaim(index);
      count += this.num - (this.#free[index]?.length ?? 0);
    }
    return count;
  }

  /** Look at the memory no more, as its file is about to change; the driver is over. */
  letGo(): void {
    this.#mapping.unmap();
    this.#mapping = { ...this.#mapping, unmap: () => undefined };
  }

  /** Kick the first transmit ring, for no reason. */
  kickAgain(): void {
    signalEventfd(this.#at(1).kick);
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
    return this.rings * this.#ringBytes + (index * this.num + buffer) * BUFFER;
  }

  #put(at: number, length: number): void {
    const gpa = this.gpa + at;
    this.#segment[0] = gpa >>> 0;
    this.#segment[1] = Math.floor(gpa / 0x1_0000_0000);
    this.#segment[2] = length;
  }

  #give(index: number, buffer: number): void {
    this.#put(this.#bufferAt(index, buffer), BUFFER);
    if (this.#at(index).ring.add(this.#segment, 0, 0, 1, buffer) !== 0) throw new Error('the receive ring refuses a buffer');
  }

  #reclaim(index: number): void {
    const { ring } = this.#at(index);
    for (let token = ring.get(); token >= 0; token = ring.get()) this.#free[index]?.push(token);
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
