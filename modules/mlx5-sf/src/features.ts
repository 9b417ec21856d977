/** What a function's virtio network device can do. Mirrors `get_supported_features` in `net/mlx5_vnet.c` (Linux 6.1). */
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import {
  bit, bits, MLX5_CAP_VDPA_EMULATION, MLX5_VIRTIO_NET_F_CSUM, MLX5_VIRTIO_NET_F_GUEST_CSUM, MLX5_VIRTIO_NET_F_HOST_TSO4,
  MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_PACKED, MLX5_VIRTIO_NET_F_HOST_TSO6, MLX5_VIRTIO_NET_F_MRG_RXBUF, mlx5_virtio_emulation_cap, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
} from '@vdpalab/uapi';

/** The firmware's bits of features, and virtio's. @see `mlx_to_vritio_features` */
const PAIRS: readonly (readonly [mlx: number, virtio: number])[] = [
  [MLX5_VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM], [MLX5_VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM],
  [MLX5_VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_TSO6], [MLX5_VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO4],
  [MLX5_VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MRG_RXBUF],
];

/** What the software does, whatever the device. */
const SOFTWARE = bits(
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_MQ, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MTU, VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_MAC,
);

/** Features every device must be made with. */
export const MINIMUM_FEATURES = bits(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);

type CapField = Exclude<keyof typeof mlx5_virtio_emulation_cap.fields, 'doorbell_bar_offset'>;

/** `MLX5_CAP_DEV_VDPA_EMULATION` */
export function vdpaCap(mdev: Mlx5CoreDev, field: CapField): number {
  return mlx5_virtio_emulation_cap.get(mdev.hca_cap(MLX5_CAP_VDPA_EMULATION), field);
}

/** What a device must be made with to offer: nothing offers it by itself. RING_PACKED is not in Linux's driver. */
export const ON_REQUEST = bits(VIRTIO_F_RING_PACKED, VIRTIO_NET_F_MRG_RXBUF);

/** All that can be offered. */
export function supportedFeatures(mdev: Mlx5CoreDev): bigint {
  const mask = vdpaCap(mdev, 'device_features_bits_mask');
  const modern = vdpaCap(mdev, 'virtio_version_1_0') === 1 ? bit(VIRTIO_F_VERSION_1) : 0n;
  const packed = (vdpaCap(mdev, 'virtio_queue_type') & MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_PACKED) === 0 ? 0n : bit(VIRTIO_F_RING_PACKED);
  return PAIRS.reduce((all, [mlx, virtio]) => ((mask & (1 << mlx)) === 0 ? all : all | bit(virtio)), SOFTWARE | modern | packed);
}

/** A queue's features in the firmware's bits. @see `get_features_12_3` */
export function queueFeatures(features: bigint): number {
  return PAIRS.reduce((mask, [mlx, virtio]) => ((features & bit(virtio)) === 0n ? mask : mask | (1 << mlx)), 0);
}
