/** VFIO_DEVICE_FEATURE_DMA_LOGGING_*: a device tells which pages it wrote. Mirrors `drivers/vfio/{vfio_main,iova_bitmap}.c` (Linux 6.1). */
import {
  VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET, vfio_device_feature_dma_logging_control, vfio_device_feature_dma_logging_range,
  vfio_device_feature_dma_logging_report,
} from '@vdpalab/uapi';
import type { VfioDeviceState } from './device.ts';
import { checkFeature, type FeatureCall } from './feature.ts';
import type { VfioLogOps, VfioLogRange } from './header.ts';
import { refuse } from './refuse.ts';

/** `LOG_MAX_RANGES`: as many as fit a page. */
const LOG_MAX_RANGES = 4096 / vfio_device_feature_dma_logging_range.size;
const U64 = 1n << 64n;

function opsOf(vdev: VfioDeviceState): VfioLogOps {
  return vdev.log_ops ?? refuse('ENOTTY', 'feature.logging', `${vdev.dev.name} does not log its DMA`);
}

/** @throws EINVAL without ranges, for misaligned or overlapping ones; E2BIG; EOVERFLOW; what the driver throws @see `vfio_ioctl_device_feature_logging_start` */
export async function logStart(vdev: VfioDeviceState, call: FeatureCall): Promise<number> {
  const ops = opsOf(vdev);
  const control = vfio_device_feature_dma_logging_control;
  if (!checkFeature(call, VFIO_DEVICE_FEATURE_SET, control.size)) return 0;
  const { mm } = call.proc;
  const { page_size, num_ranges, ranges: at, ...rest } = control.decode(mm.read(call.at, control.size));
  if (num_ranges === 0) refuse('EINVAL', 'logging.ranges', 'no ranges');
  if (num_ranges > LOG_MAX_RANGES) refuse('E2BIG', 'logging.ranges', `${num_ranges} ranges, at most ${LOG_MAX_RANGES}`);
  const ranges: VfioLogRange[] = [];
  for (let i = 0; i < num_ranges; i++) {
    const struct = vfio_device_feature_dma_logging_range;
    const range = struct.decode(mm.read(Number(at) + i * struct.size, struct.size));
    checkRange(range, page_size, ranges);
    ranges.push(range);
  }
  const granted = await ops.log_start(vdev, ranges, page_size);
  try {
    mm.write(call.at, control.encode({ ...rest, page_size: granted, num_ranges, ranges: at }));
  } catch (error) {
    await ops.log_stop(vdev);
    throw error;
  }
  return 0;
}

function checkRange({ iova, length }: VfioLogRange, pageSize: bigint, before: readonly VfioLogRange[]): void {
  const mask = pageSize - 1n;
  if (length === 0n || (iova & mask) !== 0n || (length & mask) !== 0n) {
    refuse('EINVAL', 'logging.align', `0x${iova.toString(16)}+0x${length.toString(16)} in pages of ${pageSize}`);
  }
  if (iova + length >= U64) refuse('EOVERFLOW', 'logging.wrap', `0x${iova.toString(16)}+0x${length.toString(16)}`);
  const overlaps = before.some((other) => iova < other.iova + other.length && other.iova < iova + length);
  if (overlaps) refuse('EINVAL', 'logging.overlap', `0x${iova.toString(16)}+0x${length.toString(16)} overlaps another range`);
}

/** @see `vfio_ioctl_device_feature_logging_stop` */
export async function logStop(vdev: VfioDeviceState, call: FeatureCall): Promise<number> {
  const ops = opsOf(vdev);
  if (checkFeature(call, VFIO_DEVICE_FEATURE_SET, 0)) await ops.log_stop(vdev);
  return 0;
}

/** Bits of written pages are set in the caller's bitmap, others are left. @see `vfio_ioctl_device_feature_logging_report` */
export async function logReport(vdev: VfioDeviceState, call: FeatureCall): Promise<number> {
  const ops = opsOf(vdev);
  const report = vfio_device_feature_dma_logging_report;
  if (!checkFeature(call, VFIO_DEVICE_FEATURE_GET, report.size)) return 0;
  const { mm } = call.proc;
  const { iova, length, page_size, bitmap } = report.decode(mm.read(call.at, report.size));
  if (page_size < 4096n || (page_size & (page_size - 1n)) !== 0n) refuse('EINVAL', 'logging.page', `pages of ${page_size} bytes`);
  if (iova + length >= U64) refuse('EOVERFLOW', 'logging.wrap', `0x${iova.toString(16)}+0x${length.toString(16)}`);
  const pages = Number((length + page_size - 1n) / page_size);
  const at = Number(bitmap);
  const size = Math.ceil(pages / 64) * 8;
  const bits = Uint8Array.from(mm.read(at, size));
  await ops.log_read_and_clear(vdev, iova, length, (from, bytes): undefined => {
    const first = Math.max(0, Number((from - iova) / page_size));
    const last = Math.min(pages - 1, Number((from + bytes - 1n - iova) / page_size));
    for (let page = first; page <= last; page++) bits[page >> 3]! |= 1 << (page & 7); // inside: last is below pages
  });
  mm.write(at, bits);
  return 0;
}
