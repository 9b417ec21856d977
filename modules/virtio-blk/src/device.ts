/** One disk over a virtio device. Mirrors `drivers/block/virtio_blk.c` (Linux 6.1). */
import { KernelError, UndoStack } from '@vdpalab/abi';
import type { Atomic, KModule } from '@vdpalab/abi';
import type { BlockSymbols, Gendisk, QueueLimits } from '@vdpalab/block';
import type { Attribute, AttributeGroup, Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { SchedSymbols, Work, Workqueue } from '@vdpalab/sched';
import {
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_ID_BYTES, VIRTIO_RING_F_INDIRECT_DESC,
  virtio_blk_config,
} from '@vdpalab/uapi';
import type { VirtioBlkConfig } from '@vdpalab/uapi';
import type { VirtioSymbols } from '@vdpalab/virtio';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import { RequestQueueOfDevice, type RequestSymbols } from './requests.ts';
import { diskName, sizeText } from './size-text.ts';

/** What the driver takes of the kernel. */
export type VirtioBlkSymbols =
  & RequestSymbols
  & Pick<VirtioSymbols, 'virtio_has_feature' | 'virtio_find_vqs' | 'virtio_del_vqs' | 'virtio_reset_device' | 'virtio_device_ready'>
  & Pick<BlockSymbols, 'blk_mq_alloc_disk' | 'put_disk' | 'device_add_disk' | 'del_gendisk' | 'set_capacity' | 'get_capacity'
    | 'set_capacity_and_notify' | 'set_disk_ro' | 'blk_execute_rq'>
  & Pick<SchedSymbols, 'INIT_WORK' | 'queue_work' | 'cancel_work_sync'>
  & Pick<DriverCoreSymbols, 'dev_info' | 'dev_notice' | 'dev_err'>;

/** What all disks of the driver share. */
export interface Shared {
  readonly major: number;
  readonly workqueue: Workqueue;
  readonly owner: KModule;
  /** Numbers of disks. */
  readonly taken: Set<number>;
}

/** Minors of one disk: itself and its partitions. */
const PART_BITS = 4;
const SECTOR_SIZE = 512;
const PAGE_SIZE = 4096;

/** `struct virtio_blk` */
export class VirtioBlk {
  readonly #k: VirtioBlkSymbols;
  readonly #vdev: VirtioDevice;
  readonly #shared: Shared;
  readonly #held = new UndoStack();
  readonly #configWork: Work;
  #requests!: RequestQueueOfDevice;
  #disk!: Gendisk;

  constructor(k: VirtioBlkSymbols, vdev: VirtioDevice, shared: Shared) {
    this.#k = k;
    this.#vdev = vdev;
    this.#shared = shared;
    this.#configWork = k.INIT_WORK(`virtio_blk config ${vdev.dev.name}`, () => this.#updateCapacity());
  }

  /** `virtblk_probe`; what fails leaves nothing behind. */
  async probe(): Promise<void> {
    try {
      await this.#setUp();
    } catch (error) {
      await this.#held.run();
      throw error;
    }
  }

  /** `virtblk_remove` */
  async remove(): Promise<void> {
    await this.#k.cancel_work_sync(this.#configWork);
    await this.#held.run();
  }

  /** The configuration changed: atomic. */
  configChanged(): Atomic {
    this.#k.queue_work(this.#shared.workqueue, this.#configWork);
  }

  async #setUp(): Promise<void> {
    const k = this.#k;
    const { dev } = this.#vdev;
    const config = await this.#config();
    const index = this.#takeIndex();
    const depth = await this.#findQueue();
    const disk = k.blk_mq_alloc_disk({
      mq_ops: { queue_rq: (rq) => this.#requests.queue(rq), commit_rqs: () => this.#requests.kick() },
      queue_depth: depth, fops: { owner: this.#shared.owner }, minors: 1 << PART_BITS, limits: this.#limits(config), queuedata: this,
    });
    this.#disk = disk;
    this.#held.push('disk', () => k.put_disk(disk));
    this.#held.push('queue', () => this.#stop()); // requests cannot be given once the disk is gone, which goes first
    disk.disk_name = diskName(index);
    disk.major = this.#shared.major;
    disk.first_minor = index << PART_BITS;
    disk.queue.write_cache = this.#has(VIRTIO_BLK_F_CONFIG_WCE) ? config.wce !== 0 : this.#has(VIRTIO_BLK_F_FLUSH);
    if (this.#has(VIRTIO_BLK_F_RO)) k.set_disk_ro(disk, true);
    const sectors = Number(config.capacity);
    k.set_capacity(disk, sectors);
    this.#tell(sectors, disk.queue.limits.logical_block_size);
    await k.virtio_device_ready(this.#vdev);
    await k.device_add_disk(dev, disk, [this.#attributes()]);
    this.#held.push('added disk', () => k.del_gendisk(disk));
  }

  #takeIndex(): number {
    const { taken } = this.#shared;
    let index = 0;
    while (taken.has(index)) index++;
    taken.add(index);
    this.#held.push('index', () => void taken.delete(index));
    return index;
  }

  /** @returns requests at once: without indirect tables each takes two descriptors at least */
  async #findQueue(): Promise<number> {
    const k = this.#k;
    k.dev_info(this.#vdev.dev, '1/0/0 default/read/poll queues');
    const [vq] = await k.virtio_find_vqs(this.#vdev, [{ name: 'req.0', callback: () => this.#requests.done() }]);
    if (vq === null || vq === undefined) throw new Error(`${this.#vdev.dev.name}: the queue was skipped`);
    this.#held.push('virtqueue', () => k.virtio_del_vqs(this.#vdev));
    const depth = this.#has(VIRTIO_RING_F_INDIRECT_DESC) ? vq.num_max : Math.max(1, vq.num_max / 2);
    this.#requests = new RequestQueueOfDevice(k, vq, depth);
    this.#held.push('memory of requests', () => this.#requests.free());
    return depth;
  }

  /** @throws EINVAL for a block size that is none */
  #limits(config: VirtioBlkConfig): Partial<QueueLimits> {
    const limits: Partial<QueueLimits> = { max_segments: 1, max_segment_size: 0xffff_ffff };
    if (this.#has(VIRTIO_BLK_F_SEG_MAX)) limits.max_segments = Math.max(1, config.seg_max);
    if (this.#has(VIRTIO_BLK_F_SIZE_MAX)) limits.max_segment_size = config.size_max;
    if (this.#has(VIRTIO_BLK_F_BLK_SIZE)) {
      const size = config.blk_size;
      if (size < SECTOR_SIZE || size > PAGE_SIZE || (size & (size - 1)) !== 0) {
        this.#k.dev_err(this.#vdev.dev, `virtio_blk: invalid block size: 0x${size.toString(16)}`);
        throw new KernelError('EINVAL', 'virtio_blk.probe.block-size', `${this.#vdev.dev.name}: blocks of ${size} bytes`);
      }
      limits.logical_block_size = size;
    }
    const block = limits.logical_block_size ?? SECTOR_SIZE;
    limits.physical_block_size = block;
    limits.io_min = block;
    if (this.#has(VIRTIO_BLK_F_TOPOLOGY)) {
      limits.physical_block_size = block * 2 ** config.physical_block_exp;
      limits.alignment_offset = block * config.alignment_offset;
      limits.io_min = block * config.min_io_size;
      limits.io_opt = block * config.opt_io_size;
    }
    if (this.#has(VIRTIO_BLK_F_DISCARD)) {
      limits.discard_granularity = config.discard_sector_alignment === 0 ? block : config.discard_sector_alignment * SECTOR_SIZE;
      limits.max_discard_sectors = config.max_discard_sectors === 0 ? 0xffff_ffff : config.max_discard_sectors;
    }
    if (this.#has(VIRTIO_BLK_F_WRITE_ZEROES)) limits.max_write_zeroes_sectors = config.max_write_zeroes_sectors === 0 ? 0xffff_ffff : config.max_write_zeroes_sectors;
    return limits;
  }

  #has(bit: number): boolean {
    return this.#k.virtio_has_feature(this.#vdev, bit);
  }

  async #config(): Promise<VirtioBlkConfig> {
    const bytes = new Uint8Array(virtio_blk_config.size);
    const part = async (name: keyof typeof virtio_blk_config.offsets, size: number): Promise<void> =>
      void bytes.set(await this.#vdev.config.get(this.#vdev, virtio_blk_config.offsets[name], size), virtio_blk_config.offsets[name]);
    await part('capacity', 8);
    if (this.#has(VIRTIO_BLK_F_SIZE_MAX)) await part('size_max', 4);
    if (this.#has(VIRTIO_BLK_F_SEG_MAX)) await part('seg_max', 4);
    if (this.#has(VIRTIO_BLK_F_BLK_SIZE)) await part('blk_size', 4);
    if (this.#has(VIRTIO_BLK_F_TOPOLOGY)) await part('physical_block_exp', 8);
    if (this.#has(VIRTIO_BLK_F_CONFIG_WCE)) await part('wce', 1);
    if (this.#has(VIRTIO_BLK_F_DISCARD)) await part('max_discard_sectors', 12);
    if (this.#has(VIRTIO_BLK_F_WRITE_ZEROES)) await part('max_write_zeroes_sectors', 9);
    return virtio_blk_config.decode(bytes);
  }

  #tell(sectors: number, block: number, resize = false): void {
    const bytes = sectors * SECTOR_SIZE;
    const size = `${sectors * SECTOR_SIZE / block} ${block}-byte logical blocks (${sizeText(bytes, 10)}/${sizeText(bytes, 2)})`;
    this.#k.dev_notice(this.#vdev.dev, `[${this.#disk.disk_name}] ${resize ? 'new size: ' : ''}${size}`);
  }

  async #updateCapacity(): Promise<void> {
    const { capacity } = await this.#config();
    const sectors = Number(capacity);
    if (sectors === this.#k.get_capacity(this.#disk)) return;
    this.#tell(sectors, this.#disk.queue.limits.logical_block_size, true);
    this.#k.set_capacity_and_notify(this.#disk, sectors);
  }

  /** The device is stopped before its rings go. */
  async #stop(): Promise<void> {
    await this.#k.virtio_reset_device(this.#vdev);
  }

  #attributes(): AttributeGroup<Device> {
    return {
      attrs: [
        this.#cacheType(),
        { name: 'serial', mode: 0o444, show: () => this.#serial() },
      ],
    };
  }

  /** `cache_type`: written where the device can switch its cache. @see `virtblk_attrs_are_visible`, `cache_type_store` */
  #cacheType(): Attribute<Device> {
    const show = async (): Promise<string> => (this.#disk.queue.write_cache ? 'write back\n' : 'write through\n');
    if (!this.#has(VIRTIO_BLK_F_CONFIG_WCE)) return { name: 'cache_type', mode: 0o444, show };
    return {
      name: 'cache_type', mode: 0o644, show,
      store: async (_, text) => {
        const kinds = ['write through', 'write back'];
        const wanted = kinds.indexOf(text.replace(/\n$/, ''));
        if (wanted < 0) throw new KernelError('EINVAL', 'virtio_blk.cache-type', `${this.#vdev.dev.name}: "${text.trimEnd()}"`);
        const { config } = this.#vdev;
        const at = virtio_blk_config.offsets.wce;
        await config.set(this.#vdev, at, Uint8Array.of(wanted));
        const [wce] = await config.get(this.#vdev, at, 1);
        this.#disk.queue.write_cache = wce !== 0;
      },
    };
  }

  /** `serial_show`: no newline; empty when the device does not say. */
  async #serial(): Promise<string> {
    const k = this.#k;
    const run = k.alloc_pages(1);
    try {
      const status = await k.blk_execute_rq(this.#disk, [{ pa: run.pa, len: VIRTIO_BLK_ID_BYTES }]);
      if (status !== 'BLK_STS_OK') return '';
      const bytes = [...k.phys_view(run.pa, VIRTIO_BLK_ID_BYTES)];
      const end = bytes.indexOf(0);
      return String.fromCharCode(...(end < 0 ? bytes : bytes.slice(0, end)));
    } finally {
      k.free_pages(run);
    }
  }
}
