/** A disk that a process serves: `struct virtio_blk` requests over VDUSE, as a storage daemon does it. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  POLLERR, POLLIN, VDUSE_GET_VQ_STATE, VDUSE_REQ_RESULT_FAILED, VDUSE_REQ_RESULT_OK, VDUSE_SET_STATUS, VDUSE_UPDATE_IOTLB,
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SEG_MAX, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1,
  VIRTIO_ID_BLOCK, vduse_dev_status, vduse_vq_state, virtio_blk_config, type VduseDevRequest,
} from '@vdpalab/uapi';
import { ChainBatch, openSplitDevice, type RingDevice, type SplitRingAddresses } from '@vdpalab/vring';
import { DiskRequests } from './disk-requests.ts';
import { createVduse, destroyVduse, VduseFile } from './vduse-file.ts';
import { VduseMemory } from './vduse-memory.ts';

/** Chains taken at once, and segments of all of them. */
const BATCH = 16;
const SEGMENTS = 1024;
/** Data segments of one request. */
const SEG_MAX = 32;
const SECTOR = 512;

/** What a driver has done to its ring that does not go away by looking again: the queue is left alone until its next kick. */
const STUCK: ReadonlySet<string> = new Set(['vring.head-range', 'vring.index-jump', 'vring.ring-access']);

/** Virtual nanoseconds between two tries to interrupt a driver that is still starting. */
const NAP_NS = 1000;

const bit = (n: number): bigint => 1n << BigInt(n);
const FEATURES = bit(VIRTIO_F_ACCESS_PLATFORM) | bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_BLK_SIZE) | bit(VIRTIO_BLK_F_FLUSH);

/** What disk. */
export interface VduseDiskOptions {
  /** Contents; its length, a multiple of 512, is the capacity. */
  readonly contents: Uint8Array;
  /** At most 20 characters; the device's name when absent. */
  readonly serial?: string;
  /** Descriptors; 128 when absent. */
  readonly queueSize?: number;
  /** Queues; 1 when absent. */
  readonly queues?: number;
}

/** One queue while the driver runs. */
interface Queue {
  readonly index: number;
  readonly at: SplitRingAddresses;
  ring: RingDevice;
  readonly kick: number;
  /** An interrupt that the kernel did not take yet. */
  owed: boolean;
}

/** A disk that is being served. */
export class VduseDisk {
  readonly file: VduseFile;
  readonly #p: UserProcess;
  readonly #name: string;
  readonly #memory: VduseMemory;
  readonly #requests: DiskRequests;
  readonly #count: number;
  readonly #batch = new ChainBatch(BATCH, SEGMENTS);
  #queues: Queue[] = [];
  #ended = false;
  /** Eventfd that wakes {@link serve}. */
  readonly #wake: number;

  private constructor(p: UserProcess, name: string, file: VduseFile, options: VduseDiskOptions) {
    this.#p = p;
    this.#name = name;
    this.file = file;
    this.#wake = p.eventfd();
    this.#memory = new VduseMemory(p, file);
    this.#requests = new DiskRequests(options.contents, options.serial ?? name);
    this.#count = options.queues ?? 1;
  }

  /**
   * Set the device up; `vdpa dev add name NAME mgmtdev vduse` then puts it on the bus.
   *
   * @throws KernelError the errno of the step that failed; nothing is left then
   */
  static async create(p: UserProcess, name: string, options: VduseDiskOptions): Promise<VduseDisk> {
    const { contents, queueSize = 128, queues = 1 } = options;
    if (contents.length % SECTOR !== 0) throw new RangeError(`a disk of ${contents.length} bytes is not whole sectors`);
    const config = virtio_blk_config.encode({ capacity: BigInt(contents.length / SECTOR), seg_max: SEG_MAX, blk_size: SECTOR, num_queues: queues });
    await createVduse(p, name, { vendor_id: 0, device_id: VIRTIO_ID_BLOCK, features: FEATURES, vq_num: queues, vq_align: 4096 }, config);
    try {
      const file = await VduseFile.open(p, name);
      for (let index = 0; index < queues; index++) await file.setupVq(index, queueSize);
      return new VduseDisk(p, name, file, options);
    } catch (error) {
      await destroyVduse(p, name);
      throw error;
    }
  }

  /** Requests served since the start. */
  get served(): number {
    return this.#requests.served;
  }

  /** Answer the kernel and the driver until {@link end}, or until the kernel has given the device up. */
  async serve(): Promise<void> {
    while (!this.#ended) {
      const fds = [this.file.fd, this.#wake].map((fd) => ({ fd, events: POLLIN })).concat(this.#queues.map(({ kick }) => ({ fd: kick, events: POLLIN })));
      const [device = 0, , ...kicks] = await this.#p.poll(fds);
      if ((device & POLLERR) !== 0) break;
      if ((device & POLLIN) !== 0) await this.#answer(await this.file.request());
      for (const [at, ready] of kicks.entries()) {
        const queue = this.#queues[at];
        if ((ready & POLLIN) !== 0 && queue !== undefined) await this.#work(queue);
      }
    }
    await this.#stop();
  }

  /** Stop serving; whoever asks waits until somebody serves again. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#p.eventfdWrite(this.#wake);
  }

  /** Close and take the device away. @throws EBUSY while it is on the bus; it is closed then all the same */
  async destroy(): Promise<void> {
    await this.#p.close(this.#wake);
    await this.file.close();
    await destroyVduse(this.#p, this.#name);
  }

  async #answer(request: VduseDevRequest): Promise<void> {
    const { type, request_id: id, padding } = request;
    switch (type) {
      case VDUSE_SET_STATUS: {
        const { status } = vduse_dev_status.decode(padding);
        await this.file.respond(id, VDUSE_REQ_RESULT_OK);
        if ((status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) await this.#stop();
        else if (this.#queues.length === 0) await this.#start();
        return;
      }
      case VDUSE_UPDATE_IOTLB:
        await this.file.respond(id, VDUSE_REQ_RESULT_OK);
        await this.#remap();
        return;
      case VDUSE_GET_VQ_STATE: {
        const { index } = vduse_vq_state.decode(padding);
        const running = this.#queues.find((q) => q.index === index)?.ring.save().lastAvail;
        const avail = running ?? (await this.file.vqInfo(index)).packed.last_avail_counter; // a union: where the driver wants it to begin
        const packed = { last_avail_counter: avail, last_avail_idx: 0, last_used_counter: 0, last_used_idx: 0 }; // a union: the split ring's index
        await this.file.respond(id, VDUSE_REQ_RESULT_OK, vduse_vq_state.encode({ index, packed }));
        return;
      }
      default: await this.file.respond(id, VDUSE_REQ_RESULT_FAILED);
    }
  }

  /** The driver runs: its queues are looked at from now on. */
  async #start(): Promise<void> {
    await this.#memory.refresh();
    for (let index = 0; index < this.#count; index++) {
      const info = await this.file.vqInfo(index);
      if (info.ready === 0) continue;
      const at = { num: info.num, desc: Number(info.desc_addr), avail: Number(info.driver_addr), used: Number(info.device_addr) };
      const ring = openSplitDevice(at, { translate: this.#memory });
      const avail = info.packed.last_avail_counter; // a union: the split ring's index
      ring.restore({ lastAvail: avail, lastUsed: avail });
      const kick = this.#p.eventfd();
      this.#queues.push({ index, at, ring, kick, owed: false });
      await this.file.setKickfd(index, kick);
      await this.#p.eventfdWrite(kick); // what was made available before
    }
  }

  /** Map what the kernel has mapped by now; rings go on where they were. */
  async #remap(): Promise<void> {
    if (this.#queues.length === 0) return;
    await this.#memory.refresh();
    for (const queue of this.#queues) {
      const state = queue.ring.save();
      queue.ring = openSplitDevice(queue.at, { translate: this.#memory });
      queue.ring.restore(state);
    }
  }

  /** The driver is gone. */
  async #stop(): Promise<void> {
    const queues = this.#queues;
    this.#queues = [];
    for (const { kick } of queues) await this.#p.close(kick);
    await this.#memory.drop();
  }

  async #work(queue: Queue): Promise<void> {
    await this.#p.read(queue.kick, 8);
    await this.#serve(queue);
  }

  async #serve(queue: Queue): Promise<void> {
    let published = queue.owed;
    let remapped = false;
    do {
      for (let taken = queue.ring.walk(this.#batch, BATCH); taken !== 0; taken = queue.ring.walk(this.#batch, BATCH)) {
        const { ring } = queue;
        if (taken < 0 && this.#memory.missed && !remapped) {
          remapped = true;
          if (!STUCK.has(ring.rule)) ring.unpop(1); // it may be readable now
          await this.#remap();
          continue;
        }
        if (taken < 0 && STUCK.has(ring.rule)) return;
        published = true;
        remapped = false;
        if (taken < 0) {
          ring.push(ring.lastHead, 0); // a request that cannot be read: given back, nothing was written
          continue;
        }
        for (let chain = 0; chain < taken; chain++) this.#batch.written[chain] = this.#requests.handle(this.#batch, chain);
        ring.pushMany(this.#batch);
      }
    } while (!queue.ring.enableNotify());
    if (published && (queue.ring.needInterrupt() || queue.owed)) await this.#interrupt(queue);
  }

  /** The kernel takes interrupts from the moment on at which it has seen the answer to DRIVER_OK: until then, try again. */
  async #interrupt(queue: Queue): Promise<void> {
    queue.owed = false;
    try {
      await this.file.injectIrq(queue.index);
    } catch (error) {
      if (!isKernelError(error) || error.errno !== 'EINVAL') throw error;
      queue.owed = true;
      await this.#p.poll([], NAP_NS); // give way
      await this.#p.eventfdWrite(queue.kick);
    }
  }
}
