/** The control queue (virtio 1.2, section 5.1.6.5): queue pairs in use and the MAC address. */
import {
  VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_ERR, VIRTIO_NET_OK,
} from '@vdpalab/uapi';
import type { ChainBatch } from '@vdpalab/vring';

/** Class and command. */
const HEADER_SIZE = 2;
/** Longest command read: a header and a MAC address. */
const COMMAND_MAX = 8;
const MAC_SIZE = 6;

/** What commands change. */
export interface ControlTarget {
  /** Use this many queue pairs. @returns false when there are not that many */
  readonly setPairs: (count: number) => boolean;
  /** Answer to another address. @param mac six bytes, read during the call */
  readonly setMac: (mac: Uint8Array) => boolean;
}

/** Reads commands and writes acknowledgements. */
export class ControlQueue {
  private readonly target: ControlTarget;
  private readonly command = new Uint8Array(COMMAND_MAX);

  constructor(target: ControlTarget) {
    this.target = target;
  }

  /**
   * Carry a command out and write its acknowledgement.
   *
   * @param batch holds the chain
   * @param c the chain's number in it
   * @returns bytes read; the acknowledgement is `batch.written[c]` bytes, 0 when there is no room for it
   */
  run(batch: ChainBatch, c: number): number {
    const length = Math.min(batch.readable(c), COMMAND_MAX);
    this.gather(batch, c, length);
    const ack = this.execute(length) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    const place = batch.split[c]!;
    if (place === batch.start[c + 1]) return length;
    batch.memory[place]!.u8[batch.offset[place]!] = ack;
    batch.written[c] = 1;
    return length;
  }

  private gather(batch: ChainBatch, c: number, length: number): undefined {
    let done = 0;
    for (let s = batch.start[c]!; s < batch.split[c]! && done < length; s++) {
      const { u8 } = batch.memory[s]!;
      const offset = batch.offset[s]!;
      for (let i = 0; i < batch.length[s]! && done < length; i++) this.command[done++] = u8[offset + i]!;
    }
  }

  private execute(length: number): boolean {
    const { command, target } = this;
    if (length < HEADER_SIZE) return false;
    const data = length - HEADER_SIZE;
    if (command[0] === VIRTIO_NET_CTRL_MQ && command[1] === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && data >= 2) {
      return target.setPairs(command[2]! | (command[3]! << 8));
    }
    if (command[0] === VIRTIO_NET_CTRL_MAC && command[1] === VIRTIO_NET_CTRL_MAC_ADDR_SET && data >= MAC_SIZE) {
      return target.setMac(command.subarray(HEADER_SIZE, HEADER_SIZE + MAC_SIZE));
    }
    return false;
  }
}
