/** VFIO_DEVICE_FEATURE. Mirrors `vfio_ioctl_device_feature` in `drivers/vfio/vfio_main.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START, VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MASK, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET, vfio_device_feature, vfio_device_feature_mig_state, vfio_device_feature_migration,
} from '@vdpalab/uapi';
import type { VfioDeviceState } from './device.ts';
import { logReport, logStart, logStop } from './dma-logging.ts';
import { checkArgsz, refuse } from './refuse.ts';
import type { Kernel } from './state.ts';

const OPS = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;

/** A feature's data in the caller's memory. */
export interface FeatureCall {
  readonly flags: number;
  readonly at: number;
  /** Bytes. */
  readonly argsz: number;
  readonly proc: Process;
}

/** Answer it. @throws EFAULT EINVAL; ENOTTY for what the device cannot */
export async function deviceFeature(k: Kernel, vdev: VfioDeviceState, arg: number, proc: Process): Promise<number> {
  const { argsz, flags } = vfio_device_feature.decode(proc.mm.read(arg, vfio_device_feature.size));
  checkArgsz(argsz, vfio_device_feature.size, 'vfio_device_feature');
  if ((flags & ~(VFIO_DEVICE_FEATURE_MASK | OPS | VFIO_DEVICE_FEATURE_PROBE)) !== 0) {
    refuse('EINVAL', 'feature.flags', `flags 0x${(flags >>> 0).toString(16)} are not all known`);
  }
  if ((flags & VFIO_DEVICE_FEATURE_PROBE) === 0 && (flags & OPS) === OPS) refuse('EINVAL', 'feature.get-set', 'GET and SET together, without PROBE');
  const call: FeatureCall = { flags, at: arg + vfio_device_feature.size, argsz: argsz - vfio_device_feature.size, proc };
  switch (flags & VFIO_DEVICE_FEATURE_MASK) {
    case VFIO_DEVICE_FEATURE_MIGRATION: return migration(vdev, call);
    case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: return await migrationState(vdev, call);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_START: return await logStart(vdev, call);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: return await logStop(vdev, call);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: return await logReport(vdev, call);
    default:
      if (vdev.ops.device_feature === undefined) return refuse('EINVAL', 'device.op', `${vdev.dev.name}: its driver has no device_feature`);
      return await vdev.ops.device_feature(vdev, flags, call.at, call.argsz, proc);
  }
}

/**
 * Whether a feature is to be served, and not only asked about.
 *
 * @param supported VFIO_DEVICE_FEATURE_GET | SET
 * @param size bytes of its data
 * @throws EINVAL
 * @see `vfio_check_feature`
 */
export function checkFeature({ flags, argsz }: FeatureCall, supported: number, size: number): boolean {
  if ((flags & OPS & ~supported) !== 0) refuse('EINVAL', 'feature.op', `feature ${flags & VFIO_DEVICE_FEATURE_MASK} cannot be asked so`);
  if ((flags & VFIO_DEVICE_FEATURE_PROBE) !== 0) return false;
  if ((flags & OPS) === 0) refuse('EINVAL', 'feature.op', `feature ${flags & VFIO_DEVICE_FEATURE_MASK}: neither GET nor SET nor PROBE`);
  if (argsz < size) refuse('EINVAL', 'feature.size', `feature ${flags & VFIO_DEVICE_FEATURE_MASK}: ${argsz} bytes of data, ${size} are needed`);
  return true;
}

function migration(vdev: VfioDeviceState, call: FeatureCall): number {
  if (vdev.mig_ops === null) return refuse('ENOTTY', 'feature.migration', `${vdev.dev.name} does not migrate`);
  if (!checkFeature(call, VFIO_DEVICE_FEATURE_GET, vfio_device_feature_migration.size)) return 0;
  call.proc.mm.write(call.at, vfio_device_feature_migration.encode({ flags: BigInt(vdev.migration_flags) }));
  return 0;
}

/** The descriptor is -1 in whatever is answered, but where the new state has one. @see `vfio_ioctl_device_feature_mig_device_state` */
async function migrationState(vdev: VfioDeviceState, call: FeatureCall): Promise<number> {
  const { mig_ops } = vdev;
  const { at, proc } = call;
  if (mig_ops === null) return refuse('ENOTTY', 'feature.migration', `${vdev.dev.name} does not migrate`);
  const { size } = vfio_device_feature_mig_state;
  if (!checkFeature(call, OPS, size)) return 0;
  const { device_state: wanted } = vfio_device_feature_mig_state.decode(proc.mm.read(at, size));
  const answer = (device_state: number, data_fd: number): undefined =>
    proc.mm.write(at, vfio_device_feature_mig_state.encode({ device_state, data_fd }));
  if ((call.flags & VFIO_DEVICE_FEATURE_GET) !== 0) {
    answer(await mig_ops.migration_get_state(vdev), -1);
    return 0;
  }
  let fd = -1;
  try {
    fd = await mig_ops.migration_set_state(vdev, wanted, proc);
  } finally {
    answer(wanted, fd);
  }
  return 0;
}
