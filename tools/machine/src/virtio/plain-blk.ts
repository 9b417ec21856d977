/** A plain virtio block function, as QEMU's `virtio-blk-pci`. */
import {
  PCI_CLASS_STORAGE_SCSI, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1, VIRTIO_ID_BLOCK, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_TRANS_ID_BLOCK, virtio_blk_config,
} from '@vdpalab/uapi';
import type { ModelContext } from '../pci/model.ts';
import { BlkRequests, MAX_CLEARED_SECTORS, SECTOR_SIZE } from './blk-requests.ts';
import type { BlkCounters } from './blk-requests.ts';
import { newVirtioCounters } from './counters.ts';
import type { VirtioCounters } from './counters.ts';
import { Disk } from './disk.ts';
import { VirtioFunction } from './function.ts';
import { interfacesOf } from './plain-config.ts';
import type { VirtioBlkConfig } from './plain-config.ts';
import { plainParts } from './plain-layout.ts';
import type { PlainShape } from './plain-layout.ts';
import { PlainRegisters } from './plain-registers.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';

const HEADS = 16;
/** Sectors of a track. */
const TRACK = 63;
const MAX_CYLINDERS = 16_383;

/** Segments of one request, of which a header and a status are two. */
const HEADER_AND_STATUS = 2;

function features(config: VirtioBlkConfig, shape: PlainShape): readonly number[] {
  return [
    VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_GEOMETRY, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_CONFIG_WCE,
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES,
    ...(config.read_only ? [VIRTIO_BLK_F_RO] : []),
    ...(config.num_queues > 1 ? [VIRTIO_BLK_F_MQ] : []),
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
    ...(shape.modern ? [VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET] : []),
    ...(shape.platform ? [VIRTIO_F_ACCESS_PLATFORM] : []),
    ...(shape.packed ? [VIRTIO_F_RING_PACKED] : []),
  ];
}

function configBytes(config: VirtioBlkConfig): Uint8Array {
  const bytes = new Uint8Array(virtio_blk_config.size);
  const view = new DataView(bytes.buffer);
  const { offsets } = virtio_blk_config;
  view.setBigUint64(offsets.capacity, BigInt(config.capacity / SECTOR_SIZE), true);
  view.setUint32(offsets.seg_max, config.queue_size - HEADER_AND_STATUS, true);
  view.setUint32(offsets.blk_size, SECTOR_SIZE, true);
  view.setUint16(offsets.num_queues, config.num_queues, true);
  // Of heads and sectors every disk pretends the same; cylinders are what it takes.
  view.setUint16(offsets.geometry, Math.min(MAX_CYLINDERS, Math.max(2, Math.floor(config.capacity / SECTOR_SIZE / (HEADS * TRACK)))), true);
  bytes[offsets.geometry + 2] = HEADS;
  bytes[offsets.geometry + 3] = TRACK;
  view.setUint16(offsets.min_io_size, 1, true);
  bytes[offsets.wce] = 1;
  view.setUint32(offsets.max_discard_sectors, MAX_CLEARED_SECTORS, true);
  view.setUint32(offsets.max_discard_seg, 1, true);
  view.setUint32(offsets.discard_sector_alignment, 1, true);
  view.setUint32(offsets.max_write_zeroes_sectors, MAX_CLEARED_SECTORS, true);
  view.setUint32(offsets.max_write_zeroes_seg, 1, true);
  bytes[offsets.write_zeroes_may_unmap] = 1;
  return bytes;
}

/** The function: queues of requests, one disk. */
export class VirtioBlkFunction extends VirtioFunction<VirtioCounters & BlkCounters> {
  readonly disk: Disk;
  private readonly requests: BlkRequests;
  private readonly registers: PlainRegisters;

  constructor(context: ModelContext, config: VirtioBlkConfig) {
    const { site, multifunction } = context;
    const shape: PlainShape = {
      ...interfacesOf(config, site.bus), type: VIRTIO_ID_BLOCK, transitionalId: VIRTIO_TRANS_ID_BLOCK,
      classCode: PCI_CLASS_STORAGE_SCSI, queues: config.num_queues, configSize: virtio_blk_config.size,
      vectors: config.vectors ?? config.num_queues + 1,
    };
    super(site, plainParts(shape, multifunction), {
      counters: { ...newVirtioCounters(), reads: 0, writes: 0, flushes: 0, clears: 0, errors: 0, malformed: 0 },
      features: features(config, shape), queues: config.num_queues, queueSize: config.queue_size,
    });
    this.disk = new Disk(config.capacity);
    this.requests = new BlkRequests(this.disk, config.serial, config.read_only, this.counters);
    const bytes = configBytes(config);
    this.registers = new PlainRegisters(shape, {
      common: this.common,
      msix: this.msix,
      config: {
        read: (offset, size) => Array.from({ length: size }, (_, i) => (bytes[offset + i] ?? 0) * 2 ** (8 * i)).reduce((a, b) => a + b),
        write: (offset, size, value) => {
          if (offset === virtio_blk_config.offsets.wce && size === 1) bytes[offset] = value & 1; // all else is the device's
        },
      },
      takeIsr: () => this.interrupts.takeIsr(),
      kick: (queue, doorbell) => this.kick(queue, doorbell),
    });
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    return this.registers.read(bar, offset, size);
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    return this.registers.write(bar, offset, size, value);
  }

  protected works(): boolean {
    return true;
  }

  protected serve(queue: VirtQueue, ring: DeviceRing): undefined {
    this.server.chains(queue, ring, this.requests);
  }

  /** What is on the disk stays. */
  protected onDeviceReset(): undefined {
    return undefined;
  }
}
