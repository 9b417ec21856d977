/** The control queue (virtio 1.2, section 5.1.6.5): queue pairs, the MAC address, what is received, announcements and offloads. */
import {
  VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
  VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_CTRL_VLAN_DEL,
  VIRTIO_NET_ERR, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_OK,
} from '@vdpalab/uapi';
import type { ChainBatch } from '@vdpalab/vring';
import type { ReceiveFilter } from './receive-filter.ts';

/** Class and command. */
const HEADER_SIZE = 2;
/** Longest command read: tables of some 680 addresses. */
const COMMAND_MAX = 4096;
const MAC_SIZE = 6;

/** What commands change. */
export interface ControlTarget {
  /** Use this many queue pairs. @returns false when there are not that many */
  readonly setPairs: (count: number) => boolean;
  /** Answer to another address. @param mac six bytes, read during the call */
  readonly setMac: (mac: Uint8Array) => boolean;
  /** Whether both sides want a feature. */
  readonly negotiated: (bit: number) => boolean;
  readonly filter: ReceiveFilter;
  /** The driver has announced itself. @returns false when it was not asked to */
  readonly announced: () => boolean;
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
    const data = command.subarray(HEADER_SIZE, length);
    const number = command[1]!;
    switch (command[0]) {
      case VIRTIO_NET_CTRL_MQ:
        return number === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && data.length >= 2 && target.setPairs(u16(data));
      case VIRTIO_NET_CTRL_MAC:
        return this.setMac(number, data);
      case VIRTIO_NET_CTRL_RX:
        return target.negotiated(number <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA)
          && data.length === 1 && target.filter.setMode(number, data[0] !== 0);
      case VIRTIO_NET_CTRL_VLAN:
        return target.negotiated(VIRTIO_NET_F_CTRL_VLAN) && data.length === 2
          && (number === VIRTIO_NET_CTRL_VLAN_ADD || number === VIRTIO_NET_CTRL_VLAN_DEL)
          && target.filter.setVlan(u16(data), number === VIRTIO_NET_CTRL_VLAN_ADD);
      case VIRTIO_NET_CTRL_ANNOUNCE:
        return number === VIRTIO_NET_CTRL_ANNOUNCE_ACK && target.negotiated(VIRTIO_NET_F_GUEST_ANNOUNCE) && target.announced();
      case VIRTIO_NET_CTRL_GUEST_OFFLOADS: // of which there are none: none can be switched on
        return number === VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && target.negotiated(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
          && data.length === 8 && data.every((byte) => byte === 0);
      default: return false;
    }
  }

  private setMac(number: number, data: Uint8Array): boolean {
    const { target } = this;
    if (number === VIRTIO_NET_CTRL_MAC_ADDR_SET) return data.length >= MAC_SIZE && target.setMac(data.subarray(0, MAC_SIZE));
    return number === VIRTIO_NET_CTRL_MAC_TABLE_SET && target.negotiated(VIRTIO_NET_F_CTRL_RX) && target.filter.setTables(data);
  }
}

function u16(data: Uint8Array): number {
  return data[0]! | (data[1]! << 8);
}
