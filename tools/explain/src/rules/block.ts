/** Why block devices refuse. */
import type { RuleRows } from '../rule.ts';

export const blockRules = {
  'block.direct.alignment': ['With O_DIRECT whole blocks are read and written.', 'Round position and length to the block size, or leave O_DIRECT out.', 'block/fops.c blkdev_dio_unaligned'],
  'block.events.none': ['The disk tells of no events.', 'There is nothing to poll for.', 'block/disk-events.c disk_events_poll_msecs_store'],
  'block.ioctl.admin': ['The ioctl needs CAP_SYS_ADMIN.', 'Do it as root.', 'block/ioctl.c blkdev_roset'],
  'block.ioctl.clear': ['The device knows no such way of clearing.', 'Write zeros.', 'block/ioctl.c blk_ioctl_discard'],
  'block.ioctl.range': ['What is cleared has whole sectors inside the device.', 'Round to 512, and stay below the size.', 'block/ioctl.c blk_ioctl_discard'],
  'block.ioctl.read-only': ['Clearing needs a device open for writing.', 'Open it with O_RDWR.', 'block/ioctl.c blk_ioctl_discard'],
  'block.ioctl.unknown': ['The device does not know this ioctl command.', 'Check the command\'s number.', 'block/ioctl.c blkdev_ioctl'],
  'block.lseek.range': ['A position lies within the device.', 'Seek up to its size.', 'block/fops.c blkdev_llseek'],
  'block.lseek.whence': ['whence is SEEK_SET, SEEK_CUR or SEEK_END.', 'Give a number from 0 to 2.', 'block/fops.c blkdev_llseek'],
  'block.queue.value': ['The file takes what its kind of setting can be.', 'Read it to see what it shows; numbers are decimal and may have limits.', 'block/blk-sysfs.c queue_attr_store'],
  'block.request.failed': ['The device failed the request.', 'Read the device\'s own log; the status is in the message.', 'block/blk-core.c blk_status_to_errno'],
  'block.write.end': ['A device takes nothing behind its end.', 'Write below its size: /sys/block/NAME/size, in sectors.', 'block/fops.c blkdev_write_iter'],
  'block.write.read-only': ['The device is read-only.', 'Ask for another device: it offers VIRTIO_BLK_F_RO.', 'block/fops.c blkdev_write_iter'],
  'virtio_blk.cache-type': ['A cache is written through or written back.', 'Write `write through` or `write back`.', 'drivers/block/virtio_blk.c cache_type_store'],
  'virtio_blk.probe.block-size': ['A block is a power of two from 512 bytes to a page.', 'Give the device a block size in that range.', 'drivers/block/virtio_blk.c virtblk_probe'],
} as const satisfies RuleRows;
