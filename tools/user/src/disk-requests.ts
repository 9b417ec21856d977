/** Requests of a virtio block driver against bytes in memory. Virtio 1.2, section 5.2.6. */
import {
  VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { ChainBatch } from '@vdpalab/vring';

const SECTOR = 512;

/** One disk. */
export class DiskRequests {
  /** Requests answered, whatever the answer. */
  served = 0;
  readonly #contents: Uint8Array;
  readonly #serial: Uint8Array;

  /** @param serial at most 20 characters count */
  constructor(contents: Uint8Array, serial: string) {
    this.#contents = contents;
    this.#serial = new Uint8Array(VIRTIO_BLK_ID_BYTES);
    this.#serial.set(new TextEncoder().encode(serial).subarray(0, VIRTIO_BLK_ID_BYTES));
  }

  /** Do what one chain asks. @returns bytes written into it, its status byte included; 0 when there is no place for a status */
  handle(batch: ChainBatch, chain: number): number {
    const into = batch.writable(chain);
    if (into === 0) return 0;
    this.served++;
    const out = gather(batch, chain);
    const room = into - 1; // the last byte is the status
    let status = VIRTIO_BLK_S_IOERR;
    let data = new Uint8Array();
    if (out.length >= virtio_blk_outhdr.size) {
      const { type, sector } = virtio_blk_outhdr.decode(out);
      const at = sector * BigInt(SECTOR);
      switch (type) {
        case VIRTIO_BLK_T_IN:
          if (!this.#holds(at, room)) break;
          data = this.#contents.slice(Number(at), Number(at) + room);
          status = VIRTIO_BLK_S_OK;
          break;
        case VIRTIO_BLK_T_OUT: {
          const bytes = out.subarray(virtio_blk_outhdr.size);
          if (!this.#holds(at, bytes.length)) break;
          this.#contents.set(bytes, Number(at));
          status = VIRTIO_BLK_S_OK;
          break;
        }
        case VIRTIO_BLK_T_FLUSH: status = VIRTIO_BLK_S_OK; break;
        case VIRTIO_BLK_T_GET_ID:
          data = this.#serial.slice(0, room);
          status = VIRTIO_BLK_S_OK;
          break;
        default: status = VIRTIO_BLK_S_UNSUPP;
      }
    }
    const answer = new Uint8Array(into);
    answer.set(data);
    answer[room] = status;
    scatter(batch, chain, answer);
    return into;
  }

  /** Whether whole sectors there are on the disk. */
  #holds(at: bigint, len: number): boolean {
    return len % SECTOR === 0 && at + BigInt(len) <= BigInt(this.#contents.length);
  }
}

/** The readable bytes of a chain. */
function gather(batch: ChainBatch, chain: number): Uint8Array {
  const bytes = new Uint8Array(batch.readable(chain));
  let at = 0;
  for (let s = batch.start[chain] as number; s < (batch.split[chain] as number); s++) {
    const [offset, length] = [batch.offset[s] as number, batch.length[s] as number];
    bytes.set(batch.memory[s]?.u8.subarray(offset, offset + length) ?? [], at);
    at += length;
  }
  return bytes;
}

/** Fill the writable bytes of a chain. */
function scatter(batch: ChainBatch, chain: number, bytes: Uint8Array): void {
  let at = 0;
  for (let s = batch.split[chain] as number; s < (batch.start[chain + 1] as number); s++) {
    const [offset, length] = [batch.offset[s] as number, batch.length[s] as number];
    batch.memory[s]?.u8.set(bytes.subarray(at, at + length), offset);
    at += length;
  }
}
