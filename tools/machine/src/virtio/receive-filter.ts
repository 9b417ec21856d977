/**
 * Which frames a network function takes: what the driver says by commands of the classes RX, MAC and VLAN.
 *
 * @see virtio 1.2, sections 5.1.6.5.1 to 5.1.6.5.3; defaults and the size of the table are QEMU 7.2's (hw/net/virtio-net.c `receive_filter`)
 */
import {
  ETH_P_8021Q, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_CTRL_RX_NOMULTI,
  VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_CTRL_RX_PROMISC,
} from '@vdpalab/uapi';

const MAC_SIZE = 6;
/** Addresses that both tables hold together. */
const TABLE_ENTRIES = 64;
const VLANS = 4096;
const TYPE_AT = 12;

/** What a list of addresses lets in: all, once it does not fit. */
interface Table {
  addresses: Uint8Array;
  overflow: boolean;
}

/** The filter of one function. */
export class ReceiveFilter {
  private readonly modes = new Uint8Array(VIRTIO_NET_CTRL_RX_NOBCAST + 1);
  private readonly unicast: Table = { addresses: new Uint8Array(), overflow: false };
  private readonly multicast: Table = { addresses: new Uint8Array(), overflow: false };
  private readonly vlans = new Uint8Array(VLANS);
  /** Whether tagged frames are looked at: with VIRTIO_NET_F_CTRL_VLAN. */
  filtersVlans = false;

  constructor() {
    this.reset();
  }

  /** As at power-on: everything comes in until a driver says otherwise. */
  reset(): undefined {
    this.modes.fill(0);
    this.modes[VIRTIO_NET_CTRL_RX_PROMISC] = 1;
    this.vlans.fill(0);
    this.filtersVlans = false;
    for (const table of [this.unicast, this.multicast]) this.fill(table, new Uint8Array());
  }

  /** Switch a mode of class RX. @returns false when there is none of this number */
  setMode(mode: number, on: boolean): boolean {
    if (mode >= this.modes.length) return false;
    this.modes[mode] = on ? 1 : 0;
    return true;
  }

  /** Take frames with this tag, or not. @returns false when no tag has this number */
  setVlan(vid: number, on: boolean): boolean {
    if (vid >= VLANS) return false;
    this.vlans[vid] = on ? 1 : 0;
    return true;
  }

  /** Set both lists of addresses: each a 32-bit count and the addresses. @returns false when the bytes are something else */
  setTables(data: Uint8Array): boolean {
    const unicast = list(data, 0);
    const multicast = unicast === null ? null : list(data, unicast.end);
    if (unicast === null || multicast === null || multicast.end !== data.length) return false;
    this.fill(this.unicast, unicast.addresses);
    this.fill(this.multicast, multicast.addresses, this.unicast.addresses.length);
    return true;
  }

  /**
   * Whether a frame comes in.
   *
   * @param mac the function's address, six bytes
   * @param at where the frame begins; it has an Ethernet header
   */
  accepts(mac: Uint8Array, u8: Uint8Array, at: number): boolean {
    const { modes } = this;
    if (modes[VIRTIO_NET_CTRL_RX_PROMISC] === 1) return true;
    if (this.filtersVlans && u16(u8, at + TYPE_AT) === ETH_P_8021Q && this.vlans[u16(u8, at + TYPE_AT + 2) % VLANS] === 0) return false;
    if ((u8[at]! & 1) === 0) {
      if (modes[VIRTIO_NET_CTRL_RX_NOUNI] === 1) return false;
      return modes[VIRTIO_NET_CTRL_RX_ALLUNI] === 1 || isAt(mac, 0, u8, at) || holds(this.unicast, u8, at);
    }
    if (isBroadcast(u8, at)) return modes[VIRTIO_NET_CTRL_RX_NOBCAST] === 0;
    if (modes[VIRTIO_NET_CTRL_RX_NOMULTI] === 1) return false;
    return modes[VIRTIO_NET_CTRL_RX_ALLMULTI] === 1 || holds(this.multicast, u8, at);
  }

  /** @param taken bytes of the other list */
  private fill(table: Table, addresses: Uint8Array, taken = 0): undefined {
    table.overflow = addresses.length + taken > TABLE_ENTRIES * MAC_SIZE;
    table.addresses = table.overflow ? new Uint8Array() : addresses;
  }
}

/** A count and so many addresses. */
function list(data: Uint8Array, at: number): { readonly addresses: Uint8Array; readonly end: number } | null {
  const from = at + 4;
  if (from > data.length) return null;
  const count = new DataView(data.buffer, data.byteOffset).getUint32(at, true);
  const end = from + count * MAC_SIZE;
  return end > data.length ? null : { addresses: data.slice(from, end), end };
}

function holds({ addresses, overflow }: Table, u8: Uint8Array, at: number): boolean {
  if (overflow) return true;
  for (let i = 0; i < addresses.length; i += MAC_SIZE) if (isAt(addresses, i, u8, at)) return true;
  return false;
}

function isAt(addresses: Uint8Array, from: number, u8: Uint8Array, at: number): boolean {
  for (let i = 0; i < MAC_SIZE; i++) if (u8[at + i] !== addresses[from + i]) return false;
  return true;
}

/** Two bytes in network order. */
function u16(u8: Uint8Array, at: number): number {
  return (u8[at]! << 8) | u8[at + 1]!;
}

function isBroadcast(u8: Uint8Array, at: number): boolean {
  for (let i = 0; i < MAC_SIZE; i++) if (u8[at + i] !== 0xff) return false;
  return true;
}
