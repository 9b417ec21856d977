/**
 * A virtio network driver in a process: one queue pair over vhost-vdpa or VFIO, its rings and buffers in the process's memory.
 *
 * What a poll-mode driver or a VMM does, in the order they do it: owner, features, memory, rings, eventfds, DRIVER_OK.
 */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, POLLIN, PROT_READ, PROT_WRITE, VHOST_ACCESS_RW, VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK, VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_RING_F_EVENT_IDX, virtio_net_config, virtio_net_hdr_v1,
  vring_avail_size, vring_desc_table_size, vring_used_size,
} from '@vdpalab/uapi';
import { UserControlQueue, type NetState } from './user-control.ts';
import { ringMemoryOf, setUpQueue, type UserQueue as Queue } from './user-queue.ts';
import { VhostVdpaFile } from './vhost-vdpa.ts';
import type { UserVirtioDevice } from './virtio-device.ts';

const PAGE_SIZE = 4096;
const HDR = virtio_net_hdr_v1.size;
const RX = 0;
const TX = 1;
/** Bytes of one receive buffer; longer frames take several. */
const RX_BUFFER = 4096;
/** Bytes of one transmit buffer: the largest frame and its header. */
const TX_BUFFER = 65536;
const TX_BUFFERS = 16;
/** Where the memory appears to the device; anything inside the IOVA range does. */
const IOVA_BASE = 0x1000_0000;

const bit = (n: number): bigint => 1n << BigInt(n);
const WANTED = [
  VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_RING_F_EVENT_IDX,
].reduce((bits, n) => bits | bit(n), 0n);

/** Of devices that take commands. */
const CONTROL = bit(VIRTIO_NET_F_CTRL_VQ) | bit(VIRTIO_NET_F_CTRL_MAC_ADDR);
/** Index of their queue where one queue pair is used. */
const CVQ = 2;

/** How the driver works. */
export interface UserNetOptions {
  /** Descriptors of each ring, a power of two; 256 when absent. */
  readonly queueSize?: number;
  /** Ring doorbells by a store to their mapped page instead of an eventfd. */
  readonly mappedDoorbells?: boolean;
  /** Map the memory in IOTLB entries of so many bytes, a multiple of 4096, so that parts can be unmapped; in one entry when absent. */
  readonly mapBy?: number;
  /** Have a control queue, and bring this state to the device by it. @throws Error when the device has none */
  readonly control?: NetState;
}

/** A running driver. */
export class VirtioUserNet<F extends UserVirtioDevice = VhostVdpaFile> {
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly features: bigint;
  readonly file: F;
  /** `null` unless it was asked for. */
  readonly control: UserControlQueue | null;
  /** Receive buffers that came back empty: the device could not reach them, and their frame is lost. */
  lost = 0;
  readonly #p: UserProcess;
  readonly #u8: Uint8Array;
  readonly #size: number;
  readonly #va: number;
  readonly #queues: readonly [Queue, Queue];
  /** Offsets of the buffers in the mapped memory. */
  readonly #rxAt: number;
  readonly #txAt: number;
  readonly #freeTx = Array.from({ length: TX_BUFFERS }, (_, i) => i);
  readonly #segments = new Uint32Array(3);

  private constructor(init: {
    p: UserProcess; file: F; features: bigint; mac: Uint8Array; mtu: number; u8: Uint8Array; va: number; size: number;
    queues: readonly [Queue, Queue]; control: UserControlQueue | null; rxAt: number; txAt: number;
  }) {
    this.#p = init.p;
    this.file = init.file;
    this.features = init.features;
    this.mac = init.mac;
    this.mtu = init.mtu;
    this.#u8 = init.u8;
    this.#va = init.va;
    this.#size = init.size;
    this.#queues = init.queues;
    this.control = init.control;
    this.#rxAt = init.rxAt;
    this.#txAt = init.txAt;
  }

  /**
   * Open the device and bring it to DRIVER_OK.
   *
   * @param path /dev/vhost-vdpa-N
   * @throws KernelError the errno of the step that failed; the file is closed then
   */
  static async start(p: UserProcess, path: string, options: UserNetOptions = {}): Promise<VirtioUserNet> {
    return await VirtioUserNet.on(p, await VhostVdpaFile.open(p, path), options);
  }

  /**
   * Bring an open device to DRIVER_OK.
   *
   * @throws KernelError the errno of the step that failed; the file is closed then
   */
  static async on<F extends UserVirtioDevice>(p: UserProcess, file: F, options: UserNetOptions = {}): Promise<VirtioUserNet<F>> {
    try {
      return await VirtioUserNet.#bringUp(p, file, options);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  static async #bringUp<F extends UserVirtioDevice>(p: UserProcess, file: F, options: UserNetOptions): Promise<VirtioUserNet<F>> {
    await file.setOwner();
    const backend = await file.backendFeatures();
    await file.setBackendFeatures(backend);
    await file.setStatus(0);
    await file.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
    await file.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    const features = (await file.features()) & (options.control === undefined ? WANTED : WANTED | CONTROL);
    if (options.control !== undefined && (features & CONTROL) !== CONTROL) throw new Error('the device takes no address by command');
    await file.setFeatures(features);
    const settled = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
    await file.setStatus(settled);
    if (((await file.status()) & VIRTIO_CONFIG_S_FEATURES_OK) === 0) throw new Error(`the device refuses features 0x${features.toString(16)}`);
    const config = virtio_net_config.read(new DataView((await configBytes(file)).buffer), 0);

    const num = Math.min(options.queueSize ?? 256, await file.vringNum());
    const ringSize = Math.ceil((vring_desc_table_size(num) + vring_avail_size(num) + 4 + vring_used_size(num)) / PAGE_SIZE) * PAGE_SIZE;
    const rxAt = 2 * ringSize;
    const txAt = rxAt + num * RX_BUFFER;
    const size = txAt + TX_BUFFERS * TX_BUFFER;
    const va = await p.mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    const u8 = p.proc.mm.view(va, size);
    if (u8 === null) throw new Error(`${size} bytes of memory are not in one piece`);
    await file.batchBegin();
    const piece = options.mapBy ?? size;
    for (let at = 0; at < size; at += piece) {
      await file.map(BigInt(IOVA_BASE + at), BigInt(Math.min(piece, size - at)), BigInt(va + at), VHOST_ACCESS_RW);
    }
    await file.batchEnd();

    const memory = ringMemoryOf(u8);
    const make = (index: number): Promise<Queue> => setUpQueue(p, file, memory, {
      index, num, offset: index * ringSize, iova: IOVA_BASE, eventIdx: (features & bit(VIRTIO_RING_F_EVENT_IDX)) !== 0n, mapped: options.mappedDoorbells ?? false,
    });
    const queues = [await make(RX), await make(TX)] as const;
    const control = options.control === undefined ? null : await UserControlQueue.open(p, file, CVQ, IOVA_BASE, IOVA_BASE + size);
    const enable = async (): Promise<void> => {
      for (const index of [RX, TX]) await file.setVringEnable(index, true);
    };
    // Before frames come in, where the parent lets queues be enabled that late.
    const late = control !== null && (backend & bit(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK)) !== 0n;
    if (!late) await enable();
    await file.setStatus(settled | VIRTIO_CONFIG_S_DRIVER_OK);
    await control?.load(options.control ?? {});
    if (late) await enable();
    const mac = options.control?.mac ?? Uint8Array.from(config.mac);
    const net = new VirtioUserNet({ p, file, features, mac, mtu: config.mtu, u8, va, size, queues, control, rxAt, txAt });
    for (let i = 0; i < num; i++) net.#give(i);
    await net.#ring(RX);
    return net;
  }

  /**
   * Send one frame; waits for a free buffer.
   *
   * @throws RangeError for a frame that fits no buffer
   */
  async send(frame: Uint8Array): Promise<void> {
    if (frame.length + HDR > TX_BUFFER) throw new RangeError(`a frame of ${frame.length} bytes`);
    while (this.#freeTx.length === 0) await this.#reclaim(1, -1);
    const buffer = this.#freeTx.pop() as number; // not empty: just looked
    const at = this.#txAt + buffer * TX_BUFFER;
    this.#u8.fill(0, at, at + HDR);
    this.#u8.set(frame, at + HDR);
    this.#segment(at, HDR + frame.length);
    if (this.#queues[TX].ring.add(this.#segments, 0, 1, 0, buffer) !== 0) throw new Error('the transmit ring refuses a buffer');
    await this.#ring(TX);
  }

  /** Wait until the device has taken what was sent. @param timeoutNs of virtual time without a sign of that, after which it is given up */
  async flush(timeoutNs: number): Promise<void> {
    while (this.#freeTx.length < TX_BUFFERS && (await this.#reclaim(TX_BUFFERS, timeoutNs)));
  }

  /** Frames that have arrived, in order; empty when there is none. */
  async receive(): Promise<Uint8Array[]> {
    const { ring } = this.#queues[RX];
    const frames: Uint8Array[] = [];
    let given = 0;
    for (let token = ring.get(); token >= 0; token = ring.get()) {
      if (ring.usedLength < HDR) {
        this.lost++;
        this.#give(token);
        given++;
        continue;
      }
      const pieces = [this.#piece(token, ring.usedLength, HDR)];
      const at = this.#rxAt + token * RX_BUFFER;
      const buffers = (this.#u8[at + 10] as number) | ((this.#u8[at + 11] as number) << 8);
      this.#give(token);
      given++;
      for (let n = 1; n < buffers; n++) {
        const next = ring.get();
        if (next < 0) throw new Error(`a frame of ${buffers} buffers ends after ${n}`);
        pieces.push(this.#piece(next, ring.usedLength, 0));
        this.#give(next);
        given++;
      }
      frames.push(join(pieces));
    }
    if (given > 0) await this.#ring(RX);
    return frames;
  }

  /**
   * Sleep until frames arrive.
   *
   * @param timeoutNs of virtual time
   * @returns what has arrived; empty after the timeout
   */
  async wait(timeoutNs: number): Promise<Uint8Array[]> {
    const { ring, call } = this.#queues[RX];
    for (;;) {
      const frames = await this.receive();
      if (frames.length > 0) return frames;
      if (!ring.enableCallbacks()) continue; // some came meanwhile
      const [ready] = await this.#p.poll([{ fd: call, events: POLLIN }], timeoutNs);
      if (((ready ?? 0) & POLLIN) === 0) return await this.receive();
      await this.#p.read(call, 8); // may be of frames that were taken before it was looked at
    }
  }

  /** Stop the device and give everything back. */
  async stop(): Promise<void> {
    await this.file.setStatus(0);
    for (const { kick, call, doorbell } of this.#queues) {
      if (doorbell !== null) await this.#p.munmap(doorbell, PAGE_SIZE);
      await this.#p.close(kick);
      await this.#p.close(call);
    }
    await this.control?.close();
    await this.file.unmap(BigInt(IOVA_BASE), BigInt(this.#size));
    await this.file.close();
    await this.#p.munmap(this.#va, this.#size);
  }

  /** User address of the memory the device reaches at {@link iova}. */
  get memory(): { readonly va: number; readonly iova: bigint; readonly size: number; readonly rxAt: number; readonly txAt: number } {
    return { va: this.#va, iova: BigInt(IOVA_BASE), size: this.#size, rxAt: this.#rxAt, txAt: this.#txAt };
  }

  /** Descriptors of the eventfds that are signalled when buffers come back. */
  get calls(): { readonly rx: number; readonly tx: number } {
    return { rx: this.#queues[RX].call, tx: this.#queues[TX].call };
  }

  #segment(at: number, length: number): void {
    this.#segments[0] = IOVA_BASE + at;
    this.#segments[1] = 0;
    this.#segments[2] = length;
  }

  /** Make receive buffer `i` available, unpublished to the device's doorbell. */
  #give(i: number): void {
    this.#segment(this.#rxAt + i * RX_BUFFER, RX_BUFFER);
    if (this.#queues[RX].ring.add(this.#segments, 0, 0, 1, i) !== 0) throw new Error('the receive ring refuses a buffer');
  }

  #piece(token: number, length: number, skip: number): Uint8Array {
    const at = this.#rxAt + token * RX_BUFFER;
    return this.#u8.slice(at + skip, at + length);
  }

  /** Take transmit buffers that came back, and wait for one when there are fewer free. @returns false after the timeout */
  async #reclaim(wanted: number, timeoutNs: number): Promise<boolean> {
    const { ring, call } = this.#queues[TX];
    for (let token = ring.get(); token >= 0; token = ring.get()) this.#freeTx.push(token);
    if (this.#freeTx.length >= wanted || !ring.enableCallbacks()) return true;
    const [ready] = await this.#p.poll([{ fd: call, events: POLLIN }], timeoutNs);
    if (((ready ?? 0) & POLLIN) === 0) return false;
    await this.#p.read(call, 8);
    return true;
  }

  async #ring(index: typeof RX | typeof TX): Promise<void> {
    const { ring, kick, doorbell } = this.#queues[index];
    if (!ring.kickPrepare()) return;
    if (doorbell !== null) this.#p.proc.mm.store(doorbell, 2, index);
    else await this.#p.eventfdWrite(kick);
  }
}

async function configBytes(file: UserVirtioDevice): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(virtio_net_config.size);
  bytes.set(await file.config(0, Math.min(bytes.length, await file.configSize())));
  return bytes;
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
