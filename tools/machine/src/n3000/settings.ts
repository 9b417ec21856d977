/** What the lab file decides about an N3000 function, and the features that follow from it. */
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
  VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';
import type { NetSettings } from '../virtio/net-settings.ts';
import type { MigrationProfile } from './lm-region.ts';

/** Features that a lab file may take from the functions: what the driver needs in any case is not among them. */
export const OPTIONAL_FEATURES = {
  VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_ANY_LAYOUT, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CTRL_MAC_ADDR,
} as const;
/** Name of one of them. */
export type OptionalFeature = keyof typeof OPTIONAL_FEATURES;

/** Settings of one function. */
export interface N3000Settings extends NetSettings {
  /** How ring state is addressed in the live migration region. */
  readonly profile: MigrationProfile;
  /** Features that are not offered. */
  readonly without: readonly OptionalFeature[];
}

/** Feature bits a function offers. */
export function offeredFeatures({ queuePairs, without }: Pick<N3000Settings, 'queuePairs' | 'without'>): readonly number[] {
  const absent = new Set<number>(without.map((name) => OPTIONAL_FEATURES[name]));
  return [
    VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_ANY_LAYOUT,
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF,
    ...(queuePairs > 1 ? [VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR] : []),
  ].filter((bit) => !absent.has(bit));
}
