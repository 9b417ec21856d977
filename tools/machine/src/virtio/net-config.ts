/** The device configuration of a network function: `struct virtio_net_config` (virtio 1.2, section 5.1.4). */
import { VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP, virtio_net_config } from '@vdpalab/uapi';
import type { NetSettings } from './net-settings.ts';

const STATUS_AT = 6;
const PAIRS_AT = 8;
const MTU_AT = 10;

/** The structure's bytes. The driver only reads them. */
export class NetConfig {
  readonly bytes = new Uint8Array(virtio_net_config.size);
  private mac: Uint8Array;

  constructor(settings: NetSettings) {
    this.mac = settings.mac;
    this.bytes.set(settings.mac, 0);
    this.put16(PAIRS_AT, settings.queuePairs);
    this.put16(MTU_AT, settings.mtu);
  }

  /** Whether the status says that the link is up. */
  get linkUp(): boolean {
    return (this.bytes[STATUS_AT]! & VIRTIO_NET_S_LINK_UP) !== 0;
  }

  set linkUp(up: boolean) {
    this.setStatus(VIRTIO_NET_S_LINK_UP, up);
  }

  /** Whether the status asks the driver to announce itself. */
  set announce(on: boolean) {
    this.setStatus(VIRTIO_NET_S_ANNOUNCE, on);
  }

  /** The driver has announced itself. @returns false when it was not asked to */
  announced(): boolean {
    const asked = (this.bytes[STATUS_AT]! & VIRTIO_NET_S_ANNOUNCE) !== 0;
    this.announce = false;
    return asked;
  }

  /** Set the address the function answers to, until it is reset. */
  setMac(mac: Uint8Array): undefined {
    this.bytes.set(mac, 0);
  }

  /** Set the address for good: resets keep it. */
  setPermanentMac(mac: Uint8Array): undefined {
    this.mac = mac;
    this.setMac(mac);
  }

  /** The permanent address again. */
  reset(): undefined {
    this.bytes.set(this.mac, 0);
    this.announce = false;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.bytes[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  private setStatus(bit: number, on: boolean): undefined {
    this.bytes[STATUS_AT] = on ? this.bytes[STATUS_AT]! | bit : this.bytes[STATUS_AT]! & ~bit;
  }

  private put16(at: number, value: number): undefined {
    this.bytes[at] = value;
    this.bytes[at + 1] = value >>> 8;
  }
}
