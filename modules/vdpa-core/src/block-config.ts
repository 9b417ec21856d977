/** What `vdpa dev config show` says of a block device. Mirrors `vdpa_dev_blk_config_fill` of `drivers/vdpa/vdpa.c` (Linux 6.12; 6.1 has none). */
import type { NlMessageBuilder } from '@vdpalab/netlink';
import type { Atomic } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';

type Config = ReturnType<typeof uapi.virtio_blk_config.decode>;
type Width = 'putU8' | 'putU16' | 'putU32';

/** Members of the configuration that stand behind a feature: feature, attribute, its width, member. */
const MEMBERS: readonly (readonly [feature: number, attr: number, put: Width, member: (config: Config) => number])[] = [
  [uapi.VIRTIO_BLK_F_SIZE_MAX, uapi.VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX, 'putU32', (c) => c.size_max],
  [uapi.VIRTIO_BLK_F_BLK_SIZE, uapi.VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE, 'putU32', (c) => c.blk_size],
  [uapi.VIRTIO_BLK_F_SEG_MAX, uapi.VDPA_ATTR_DEV_BLK_CFG_SEG_MAX, 'putU32', (c) => c.seg_max],
  [uapi.VIRTIO_BLK_F_MQ, uapi.VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES, 'putU16', (c) => c.num_queues],
  [uapi.VIRTIO_BLK_F_TOPOLOGY, uapi.VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP, 'putU8', (c) => c.physical_block_exp],
  [uapi.VIRTIO_BLK_F_TOPOLOGY, uapi.VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET, 'putU8', (c) => c.alignment_offset],
  [uapi.VIRTIO_BLK_F_TOPOLOGY, uapi.VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE, 'putU16', (c) => c.min_io_size],
  [uapi.VIRTIO_BLK_F_TOPOLOGY, uapi.VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE, 'putU32', (c) => c.opt_io_size],
  [uapi.VIRTIO_BLK_F_DISCARD, uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC, 'putU32', (c) => c.max_discard_sectors],
  [uapi.VIRTIO_BLK_F_DISCARD, uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG, 'putU32', (c) => c.max_discard_seg],
  [uapi.VIRTIO_BLK_F_DISCARD, uapi.VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN, 'putU32', (c) => c.discard_sector_alignment],
  [uapi.VIRTIO_BLK_F_WRITE_ZEROES, uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC, 'putU32', (c) => c.max_write_zeroes_sectors],
  [uapi.VIRTIO_BLK_F_WRITE_ZEROES, uapi.VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG, 'putU32', (c) => c.max_write_zeroes_seg],
];

/** Put the attributes: the capacity, what the features give, and whether it is read-only and can be flushed. @param offered the device's features */
export function putBlockConfig(msg: NlMessageBuilder, config: Config, offered: bigint): Atomic {
  const has = (feature: number): boolean => (offered & (1n << BigInt(feature))) !== 0n;
  msg.putU64(uapi.VDPA_ATTR_DEV_BLK_CFG_CAPACITY, config.capacity, uapi.VDPA_ATTR_PAD);
  for (const [feature, attr, put, member] of MEMBERS) if (has(feature)) msg[put](attr, member(config));
  msg.putU8(uapi.VDPA_ATTR_DEV_BLK_READ_ONLY, Number(has(uapi.VIRTIO_BLK_F_RO)));
  msg.putU8(uapi.VDPA_ATTR_DEV_BLK_FLUSH, Number(has(uapi.VIRTIO_BLK_F_FLUSH)));
}
