/** The ioctls of an open device: VFIO's, and vhost's. After `vhost_mdev_unlocked_ioctl` of the RFC of 2019. */
import { foldError, isKernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS, VHOST_GET_FEATURES,
  VHOST_SET_FEATURES, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_STATUS, VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_SET_CONFIG,
  VHOST_VDPA_SET_STATUS, VIRTIO_CONFIG_S_FEATURES_OK, get_user, put_user, vhost_vdpa_config,
} from '@vdpalab/uapi';
import type { VhostMdev } from './device.ts';
import { refuse } from './refuse.ts';
import { getInfo, getIrqInfo, getRegionInfo, setIrqs } from './vfio-ioctl.ts';
import { vringIoctl } from './vring-ioctl.ts';

async function setStatus({ backend }: VhostMdev, status: number): Promise<void> {
  const old = backend.get_status();
  if (status !== 0 && (old & ~status) !== 0) {
    refuse('EINVAL', 'status.clear', `status 0x${old.toString(16)} to 0x${status.toString(16)}: bits are only cleared by 0`);
  }
  await (status === 0 ? backend.reset() : backend.set_status(status));
}

async function setFeatures({ backend, features: known }: VhostMdev, features: bigint): Promise<void> {
  if ((backend.get_status() & VIRTIO_CONFIG_S_FEATURES_OK) !== 0) refuse('EBUSY', 'features.settled', 'features are settled: FEATURES_OK is set');
  if ((features & ~known) !== 0n) refuse('EINVAL', 'features.unknown', `features 0x${(features & ~known).toString(16)} do not go through`);
  try {
    await backend.set_features(features);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw foldError('EINVAL', 'vhost_mdev.features.refused', `the parent refuses features 0x${features.toString(16)}: ${error.message}`, error);
  }
}

/** Part of the configuration that is meant. @throws EINVAL for none of it, or beyond its end */
function configPart({ backend }: VhostMdev, arg: number, { mm }: Process): { readonly off: number; readonly len: number; readonly at: number } {
  const { off, len } = vhost_vdpa_config.decode(mm.read(arg, vhost_vdpa_config.size));
  const size = backend.get_config_size();
  if (len === 0 || off > size || len > size - off) refuse('EINVAL', 'config.range', `${len} bytes at ${off} of a configuration of ${size}`);
  return { off, len, at: arg + vhost_vdpa_config.size };
}

/** Numbers 0x70 to 0x76 were VHOST_MDEV_* before vhost-vdpa took them over. @throws EPERM before VHOST_SET_OWNER, and each command its own */
async function answer(m: VhostMdev, cmd: number, arg: number, proc: Process): Promise<void> {
  const { k, backend, state: { vhost } } = m;
  const { mm } = proc;
  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: return getInfo(m, arg, proc);
    case VFIO_DEVICE_GET_REGION_INFO: return getRegionInfo(m, arg, proc);
    case VFIO_DEVICE_GET_IRQ_INFO: return getIrqInfo(m, arg, proc);
    case VFIO_DEVICE_SET_IRQS: return setIrqs(m, arg, proc);
    case VFIO_DEVICE_RESET: return await backend.reset();
    case VHOST_VDPA_GET_DEVICE_ID: return put_user(mm, arg, 4, backend.get_device_id());
    case VHOST_VDPA_GET_STATUS: return put_user(mm, arg, 1, backend.get_status());
    case VHOST_VDPA_SET_STATUS: return await setStatus(m, Number(get_user(mm, arg, 1)));
    case VHOST_VDPA_GET_CONFIG: {
      const { off, len, at } = configPart(m, arg, proc);
      return mm.write(at, await backend.get_config(off, len));
    }
    case VHOST_VDPA_SET_CONFIG: {
      const { off, len, at } = configPart(m, arg, proc);
      return await backend.set_config(off, mm.read(at, len));
    }
    case VHOST_GET_FEATURES: return put_user(mm, arg, 8, backend.get_features() & m.features);
    case VHOST_SET_FEATURES: return await setFeatures(m, get_user(mm, arg, 8));
    case VHOST_VDPA_GET_VRING_NUM: return put_user(mm, arg, 2, backend.get_vq_num_max());
    default: // the memory table and the log are taken, and of no use: addresses are the container's
      if (!(await k.vhost_dev_ioctl(vhost, cmd, arg, proc))) await vringIoctl(m, cmd, arg, proc);
  }
}

/** Answer one. @returns 0 */
export async function ioctl(m: VhostMdev, cmd: number, arg: number, proc: Process): Promise<number> {
  const { k, state: { vhost } } = m;
  await k.mutex_lock(vhost.mutex);
  try {
    await answer(m, cmd, arg, proc);
  } finally {
    k.mutex_unlock(vhost.mutex);
  }
  return 0;
}
