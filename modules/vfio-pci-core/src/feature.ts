/** Features of PCI functions. Mirrors `vfio_pci_core_ioctl_feature` in `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET,
} from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { refuse } from './refuse.ts';
import { uuidText } from './token.ts';

const UUID_SIZE = 16;

/** @throws EINVAL EFAULT; ENOTTY for an unknown feature, or a token where there is none */
export async function feature(v: VfioPci, flags: number, arg: number, argsz: number, proc: Process): Promise<number> {
  switch (flags & VFIO_DEVICE_FEATURE_MASK) {
    case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: {
      const { token } = v;
      if (token === null) return refuse('ENOTTY', 'feature.token', `${v.name} is no physical function that has a token`);
      if (isSet(flags, argsz, UUID_SIZE)) token.uuid = uuidText(proc.mm.read(arg, UUID_SIZE));
      return 0;
    }
    case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
      if (isSet(flags, argsz, 0)) await power(v, true);
      return 0;
    case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
      if (isSet(flags, argsz, 0)) await power(v, false);
      return 0;
    default: return refuse('ENOTTY', 'feature.unknown', `${v.name}: no feature ${flags & VFIO_DEVICE_FEATURE_MASK}`);
  }
}

/** Whether it is to be set, and not only asked about. @throws EINVAL */
function isSet(flags: number, argsz: number, size: number): boolean {
  if ((flags & VFIO_DEVICE_FEATURE_GET) !== 0) refuse('EINVAL', 'feature.op', 'the feature cannot be read');
  if ((flags & VFIO_DEVICE_FEATURE_PROBE) !== 0) return false;
  if ((flags & VFIO_DEVICE_FEATURE_SET) === 0) refuse('EINVAL', 'feature.op', 'neither SET nor PROBE');
  if (argsz < size) refuse('EINVAL', 'feature.size', `${argsz} bytes of data, ${size} are needed`);
  return true;
}

/** Registers of a sleeping function do not answer. @throws EINVAL when it sleeps already */
async function power(v: VfioPci, asleep: boolean): Promise<void> {
  await v.k.down_write(v.memoryLock);
  try {
    if (asleep && v.asleep) refuse('EINVAL', 'feature.asleep', `${v.name} is in low power`);
    v.asleep = asleep;
    if (asleep) v.zap();
    else v.unzap();
  } finally {
    v.k.up_write(v.memoryLock);
  }
}
