import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { offeredFeatures, OPTIONAL_FEATURES, type OptionalFeature } from './settings.ts';

it('offers everything but what the lab file takes away', () => {
  const all = offeredFeatures({ queuePairs: 1, without: [] });
  const fewer = offeredFeatures({ queuePairs: 1, without: ['VIRTIO_F_ORDER_PLATFORM', 'VIRTIO_RING_F_INDIRECT_DESC'] });
  expect(all.filter((bit) => !fewer.includes(bit)).sort()).toEqual([VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_F_ORDER_PLATFORM].sort());
});

it('keeps what the driver needs, and a control queue where there are more pairs', () => {
  const without = Object.keys(OPTIONAL_FEATURES) as OptionalFeature[];
  expect(offeredFeatures({ queuePairs: 1, without })).toEqual([VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_MAC]);
  expect(offeredFeatures({ queuePairs: 2, without }).slice(3)).toEqual([VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ]);
});
