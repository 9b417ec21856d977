/** Requests of a block device (virtio 1.2, section 5.2.6). */
import {
  VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, virtio_blk_discard_write_zeroes, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { ChainBatch } from '@vdpalab/vring';
import type { Disk } from './disk.ts';
import type { ChainHandler } from './serve.ts';

/** Bytes of a sector, whatever the block size. */
export const SECTOR_SIZE = 512;

/** Sectors that one range to discard or to zero may have: QEMU's BDRV_REQUEST_MAX_SECTORS. */
export const MAX_CLEARED_SECTORS = 0x3f_ffff;

/** What requests are counted by. */
export interface BlkCounters {
  reads: number;
  writes: number;
  flushes: number;
  /** Ranges discarded or zeroed. */
  clears: number;
  /** Answered with an error. */
  errors: number;
  /** Chains without room for a header or a status. */
  malformed: number;
}

/** A disk behind a queue. */
export class BlkRequests implements ChainHandler {
  private readonly disk: Disk;
  private readonly serial: Uint8Array;
  private readonly readOnly: boolean;
  private readonly counters: BlkCounters;
  private readonly header = new Uint8Array(virtio_blk_outhdr.size);

  /** @param serial at most 20 characters */
  constructor(disk: Disk, serial: string, readOnly: boolean, counters: BlkCounters) {
    this.disk = disk;
    this.serial = new Uint8Array(VIRTIO_BLK_ID_BYTES);
    this.serial.set(new TextEncoder().encode(serial).subarray(0, VIRTIO_BLK_ID_BYTES));
    this.readOnly = readOnly;
    this.counters = counters;
  }

  run(batch: ChainBatch, c: number): number {
    const readable = batch.readable(c);
    const writable = batch.writable(c);
    if (readable < this.header.length || writable < 1) {
      this.counters.malformed++;
      return 0;
    }
    this.move(batch, batch.start[c]!, 0, this.header.length, (bytes, done) => void this.header.set(bytes, done));
    const { type, sector } = virtio_blk_outhdr.decode(this.header);
    const room = writable - 1;
    const answer = this.execute(batch, c, type, Number(sector) * SECTOR_SIZE, readable - this.header.length, room);
    if (answer !== VIRTIO_BLK_S_OK) this.counters.errors++;
    this.move(batch, batch.split[c]!, room, 1, (bytes) => void (bytes[0] = answer));
    batch.written[c] = answer === VIRTIO_BLK_S_OK ? writable : 1;
    const takes = type === VIRTIO_BLK_T_OUT || type === VIRTIO_BLK_T_DISCARD || type === VIRTIO_BLK_T_WRITE_ZEROES;
    return this.header.length + (takes ? readable - this.header.length : 0);
  }

  private execute(batch: ChainBatch, c: number, type: number, at: number, given: number, room: number): number {
    switch (type) {
      case VIRTIO_BLK_T_IN:
        if (!this.onDisk(at, room)) return VIRTIO_BLK_S_IOERR;
        this.counters.reads++;
        this.move(batch, batch.split[c]!, 0, room, (bytes, done) => void this.disk.read(at + done, bytes));
        return VIRTIO_BLK_S_OK;
      case VIRTIO_BLK_T_OUT:
        if (this.readOnly || !this.onDisk(at, given)) return VIRTIO_BLK_S_IOERR;
        this.counters.writes++;
        this.move(batch, batch.start[c]!, this.header.length, given, (bytes, done) => void this.disk.write(at + done, bytes));
        return VIRTIO_BLK_S_OK;
      case VIRTIO_BLK_T_FLUSH:
        this.counters.flushes++;
        return VIRTIO_BLK_S_OK;
      case VIRTIO_BLK_T_GET_ID:
        this.move(batch, batch.split[c]!, 0, Math.min(room, this.serial.length), (bytes, done) => {
          bytes.set(this.serial.subarray(done, done + bytes.length));
        });
        return VIRTIO_BLK_S_OK;
      case VIRTIO_BLK_T_DISCARD:
      case VIRTIO_BLK_T_WRITE_ZEROES:
        return this.clear(batch, c, type, given);
      default:
        return VIRTIO_BLK_S_UNSUPP;
    }
  }

  /** One range, as the configuration says; what is discarded reads as zeroes. @see QEMU 7.2, hw/block/virtio-blk.c `virtio_blk_handle_discard_write_zeroes` */
  private clear(batch: ChainBatch, c: number, type: number, given: number): number {
    if (this.readOnly) return VIRTIO_BLK_S_IOERR;
    const bytes = new Uint8Array(virtio_blk_discard_write_zeroes.size);
    if (given !== bytes.length) return VIRTIO_BLK_S_UNSUPP;
    this.move(batch, batch.start[c]!, this.header.length, given, (piece, done) => void bytes.set(piece, done));
    const { sector, num_sectors, flags } = virtio_blk_discard_write_zeroes.decode(bytes);
    // Zeroes may be unmapped; a discard cannot ask for more.
    if ((flags & ~(type === VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0)) !== 0) return VIRTIO_BLK_S_UNSUPP;
    const [at, length] = [Number(sector) * SECTOR_SIZE, num_sectors * SECTOR_SIZE];
    if (num_sectors > MAX_CLEARED_SECTORS || !this.onDisk(at, length)) return VIRTIO_BLK_S_IOERR;
    this.counters.clears++;
    this.disk.clear(at, length);
    return VIRTIO_BLK_S_OK;
  }

  /** Whole sectors, of which the last is still there. */
  private onDisk(at: number, length: number): boolean {
    return length % SECTOR_SIZE === 0 && Number.isSafeInteger(at + length) && at + length <= this.disk.size;
  }

  /** Visit `length` bytes of the chain, `skip` bytes after segment `from`. */
  private move(batch: ChainBatch, from: number, skip: number, length: number, body: (bytes: Uint8Array, done: number) => void): void {
    let ahead = skip;
    for (let s = from, done = 0; done < length; s++) {
      const size = batch.length[s]!;
      if (ahead >= size) {
        ahead -= size;
        continue;
      }
      const n = Math.min(size - ahead, length - done);
      const at = batch.offset[s]! + ahead;
      body(batch.memory[s]!.u8.subarray(at, at + n), done); // the ring translates segments
      done += n;
      ahead = 0;
    }
  }
}
