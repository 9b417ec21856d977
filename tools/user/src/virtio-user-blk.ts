/** A virtio block driver in a process: one queue over vhost-vdpa, one request at a time. */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_SHARED, POLLIN, PROT_READ, PROT_WRITE, VHOST_ACCESS_RW, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_S_OK, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_ID_BYTES,
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1, virtio_blk_config, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import { ringMemoryOf, setUpQueue, type UserQueue } from './user-queue.ts';
import { VhostVdpaFile } from './vhost-vdpa.ts';

const PAGE_SIZE = 4096;
/** Bytes for the ring; a queue of 128 takes three pages. */
const RING = 4 * PAGE_SIZE;
const QUEUE_SIZE = 128;
const SECTOR = 512;
/** Bytes of one request's data at most. */
const DATA = 64 * 1024;
/** Where the memory appears to the device. */
const IOVA = 0x2000_0000;
const HEADER_AT = RING;
const STATUS_AT = RING + 64;
const DATA_AT = RING + PAGE_SIZE;
const SIZE = DATA_AT + DATA;

const bit = (n: number): bigint => 1n << BigInt(n);
const WANTED = [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_FLUSH]
  .reduce((bits, n) => bits | bit(n), 0n);

/** A request the device did not carry out. */
export class BlockRequestError extends Error {
  /** `VIRTIO_BLK_S_*` */
  readonly status: number;

  constructor(status: number, what: string) {
    super(`${what}: status ${status}`);
    this.name = 'BlockRequestError';
    this.status = status;
  }
}

/** A running driver. */
export class VirtioUserBlk {
  readonly file: VhostVdpaFile;
  readonly features: bigint;
  /** Sectors of 512 bytes. */
  readonly capacity: bigint;
  readonly #p: UserProcess;
  readonly #va: number;
  readonly #u8: Uint8Array;
  readonly #queue: UserQueue;
  readonly #segments = new Uint32Array(9);

  private constructor(init: { p: UserProcess; file: VhostVdpaFile; features: bigint; capacity: bigint; va: number; u8: Uint8Array; queue: UserQueue }) {
    this.#p = init.p;
    this.file = init.file;
    this.features = init.features;
    this.capacity = init.capacity;
    this.#va = init.va;
    this.#u8 = init.u8;
    this.#queue = init.queue;
  }

  /**
   * Open the device and bring it to DRIVER_OK.
   *
   * @param path /dev/vhost-vdpa-N
   * @throws KernelError the errno of the step that failed; the file is closed then
   */
  static async start(p: UserProcess, path: string): Promise<VirtioUserBlk> {
    const file = await VhostVdpaFile.open(p, path);
    try {
      return await VirtioUserBlk.#bringUp(p, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  static async #bringUp(p: UserProcess, file: VhostVdpaFile): Promise<VirtioUserBlk> {
    await file.setOwner();
    await file.setBackendFeatures(await file.backendFeatures());
    await file.setStatus(0);
    await file.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    const features = (await file.features()) & WANTED;
    await file.setFeatures(features);
    const settled = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
    await file.setStatus(settled);
    const config = new Uint8Array(virtio_blk_config.size);
    config.set(await file.config(0, Math.min(config.length, await file.configSize())));
    const va = await p.mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS); // shared: a device that a process serves sees it too
    const u8 = p.proc.mm.view(va, SIZE);
    if (u8 === null) throw new Error(`${SIZE} bytes of memory are not in one piece`);
    await file.map(BigInt(IOVA), BigInt(SIZE), BigInt(va), VHOST_ACCESS_RW);
    const queue = await setUpQueue(p, file, ringMemoryOf(u8), { index: 0, num: QUEUE_SIZE, offset: 0, iova: IOVA, eventIdx: false, mapped: false });
    await file.setVringEnable(0, true);
    await file.setStatus(settled | VIRTIO_CONFIG_S_DRIVER_OK);
    return new VirtioUserBlk({ p, file, features, capacity: virtio_blk_config.decode(config).capacity, va, u8, queue });
  }

  /** @param length bytes, whole sectors, at most 64 KiB. @throws BlockRequestError */
  async read(sector: bigint, length: number): Promise<Uint8Array> {
    await this.#request(VIRTIO_BLK_T_IN, sector, length, true);
    return this.#u8.slice(DATA_AT, DATA_AT + length);
  }

  /** @throws BlockRequestError */
  async write(sector: bigint, bytes: Uint8Array): Promise<void> {
    this.#u8.set(bytes, DATA_AT);
    await this.#request(VIRTIO_BLK_T_OUT, sector, bytes.length, false);
  }

  /** @throws BlockRequestError */
  async flush(): Promise<void> {
    await this.#request(VIRTIO_BLK_T_FLUSH, 0n, 0, false);
  }

  /** The serial number. @throws BlockRequestError */
  async id(): Promise<string> {
    await this.#request(VIRTIO_BLK_T_GET_ID, 0n, VIRTIO_BLK_ID_BYTES, true);
    return String.fromCharCode(...this.#u8.subarray(DATA_AT, DATA_AT + VIRTIO_BLK_ID_BYTES)).replace(/\0.*$/s, '');
  }

  /** A request of any type. @throws BlockRequestError when its status is not OK */
  async request(type: number, sector: bigint, out: Uint8Array): Promise<void> {
    this.#u8.set(out, DATA_AT);
    await this.#request(type, sector, out.length, false);
  }

  /** Stop the device and give everything back. */
  async stop(): Promise<void> {
    await this.file.setStatus(0);
    await this.#p.close(this.#queue.kick);
    await this.#p.close(this.#queue.call);
    await this.file.close();
    await this.#p.munmap(this.#va, SIZE);
  }

  async #request(type: number, sector: bigint, length: number, into: boolean): Promise<void> {
    if (length > DATA) throw new RangeError(`a request of ${length} bytes, at most ${DATA}`);
    const { ring, kick, call } = this.#queue;
    this.#u8.set(virtio_blk_outhdr.encode({ type, sector }), HEADER_AT);
    this.#u8[STATUS_AT] = 0xff;
    const pieces = [[HEADER_AT, virtio_blk_outhdr.size], ...(length > 0 ? [[DATA_AT, length] as const] : []), [STATUS_AT, 1]] as const;
    pieces.forEach(([at, len], n) => this.#segments.set([IOVA + at, 0, len], 3 * n));
    const readable = into || length === 0 ? 1 : 2;
    if (ring.add(this.#segments, 0, readable, pieces.length - readable, 0) !== 0) throw new Error('the ring refuses a request');
    if (ring.kickPrepare()) await this.#p.eventfdWrite(kick);
    while (ring.get() < 0) {
      if (!ring.enableCallbacks()) continue;
      await this.#p.poll([{ fd: call, events: POLLIN }], -1);
      await this.#p.read(call, 8);
    }
    const status = this.#u8[STATUS_AT] as number; // in bounds
    if (status !== VIRTIO_BLK_S_OK) throw new BlockRequestError(status, `request ${type} at sector ${sector}, ${length} bytes of ${SECTOR}-byte sectors`);
  }
}
