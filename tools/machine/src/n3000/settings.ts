/** What the lab file decides about an N3000 function, and the features that follow from it. */
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
  VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';
import type { MigrationProfile } from './lm-region.ts';

/** Settings of one function. */
export interface N3000Settings {
  /** 1 to 8. */
  readonly queuePairs: number;
  /** Largest queue, in descriptors. */
  readonly queueSize: number;
  /** Largest MTU, in bytes. */
  readonly mtu: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Take frames for any address: captures replayed into the network then arrive. */
  readonly promisc: boolean;
  /** How ring state is addressed in the live migration region. */
  readonly profile: MigrationProfile;
}

/** Bits set in one 32-bit half of a feature word. */
function half(bits: readonly number[], which: 0 | 1): number {
  let word = 0;
  for (const bit of bits) if (bit >>> 5 === which) word |= 1 << (bit & 31);
  return word >>> 0;
}

/** Feature bits in two halves, as the driver reads them. */
export interface FeatureWords {
  readonly lo: number;
  readonly hi: number;
}

/** What a function offers. */
export function offeredFeatures(queuePairs: number): FeatureWords {
  const bits = [
    VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_ANY_LAYOUT,
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF,
    ...(queuePairs > 1 ? [VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR] : []),
  ];
  return { lo: half(bits, 0), hi: half(bits, 1) };
}

/** Read `52:54:00:00:00:0a`. */
export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** A MAC address and `n` more: addresses of virtual functions count on from the physical function's. */
export function macPlus(mac: Uint8Array, n: number): Uint8Array {
  const sum = Uint8Array.from(mac);
  for (let i = 5, carry = n; i >= 0 && carry > 0; i--) {
    carry += sum[i]!;
    sum[i] = carry;
    carry >>>= 8;
  }
  return sum;
}
