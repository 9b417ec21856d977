/** The ioctls of the character device. Mirrors `vhost_vdpa_unlocked_ioctl` in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VHOST_BACKEND_F_DESC_ASID, VHOST_BACKEND_F_IOTLB_ASID, VHOST_BACKEND_F_IOTLB_BATCH, VHOST_BACKEND_F_IOTLB_MSG_V2,
  VHOST_BACKEND_F_IOTLB_PERSIST, VHOST_BACKEND_F_RESUME, VHOST_BACKEND_F_SUSPEND, VHOST_FILE_UNBIND, VHOST_GET_BACKEND_FEATURES, VHOST_GET_FEATURES, VHOST_SET_BACKEND_FEATURES,
  VHOST_SET_FEATURES, VHOST_SET_LOG_BASE, VHOST_SET_LOG_FD, VHOST_SET_OWNER, VHOST_VDPA_GET_AS_NUM, VHOST_VDPA_GET_CONFIG,
  VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_GROUP_NUM, VHOST_VDPA_GET_IOVA_RANGE,
  VHOST_VDPA_GET_STATUS, VHOST_VDPA_GET_VQS_COUNT, VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_RESUME, VHOST_VDPA_SET_CONFIG,
  VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_SET_STATUS, VHOST_VDPA_SUSPEND, VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FEATURES_OK, get_user, put_user, vhost_vdpa_config, vhost_vdpa_iova_range,
} from '@vdpalab/uapi';
import type { OpenState, VhostVdpa, VhostVdpaSymbols } from './device.ts';
import { vringIoctl } from './vring-ioctl.ts';

const bit = (n: number): bigint => 1n << BigInt(n);

/** What vhost-vdpa itself offers. */
const BACKEND_FEATURES = bit(VHOST_BACKEND_F_IOTLB_MSG_V2) | bit(VHOST_BACKEND_F_IOTLB_BATCH) | bit(VHOST_BACKEND_F_IOTLB_ASID);

/** With what the parent adds; parents as 6.1 knows them add SUSPEND at most. */
function backendFeatures(v: VhostVdpa): bigint {
  const { suspend, resume, get_vq_desc_group, reset_map, get_backend_features } = v.vdpa.config;
  const withOp = (op: unknown, feature: number): bigint => (op === undefined ? 0n : bit(feature));
  return BACKEND_FEATURES | withOp(suspend, VHOST_BACKEND_F_SUSPEND) | withOp(resume, VHOST_BACKEND_F_RESUME)
    | withOp(get_vq_desc_group, VHOST_BACKEND_F_DESC_ASID) | withOp(reset_map, VHOST_BACKEND_F_IOTLB_PERSIST)
    | (get_backend_features?.(v.vdpa) ?? 0n);
}

function setBackendFeatures(k: VhostVdpaSymbols, v: VhostVdpa, state: OpenState, features: bigint): void {
  const unknown = features & ~backendFeatures(v);
  if (unknown !== 0n) {
    throw new KernelError('EOPNOTSUPP', 'vhost_vdpa.backend-features', `bits 0x${unknown.toString(16)} of 0x${features.toString(16)} are not offered`);
  }
  if ((features & bit(VHOST_BACKEND_F_DESC_ASID)) !== 0n && (features & bit(VHOST_BACKEND_F_IOTLB_ASID)) === 0n) {
    throw new KernelError('EINVAL', 'vhost_vdpa.backend-features.desc-asid', 'DESC_ASID without IOTLB_ASID');
  }
  k.vhost_set_backend_features(state.vhost, features);
}

async function setStatus(k: VhostVdpaSymbols, v: VhostVdpa, state: OpenState, status: number): Promise<void> {
  const { config } = v.vdpa;
  const old = config.get_status(v.vdpa);
  if (status !== 0 && (old & ~status) !== 0) {
    throw new KernelError('EINVAL', 'vhost_vdpa.status.clear', `status 0x${old.toString(16)} to 0x${status.toString(16)}: bits are only cleared by 0`);
  }
  const wasOk = (old & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  const isOk = (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  if (wasOk && !isOk) await state.producers.dropAll();
  if (status === 0) {
    await v.resetDevice(state); // a batch under way goes on
  } else {
    await k.vdpa_set_status(v.vdpa, status);
  }
  if (isOk && !wasOk) for (const vq of state.vhost.vqs) await state.producers.set(vq.index, vq.call_ctx);
}

/** `vhost_vdpa_config_validate`: E2BIG inside is EINVAL outside. */
function configWindow(v: VhostVdpa, proc: Process, arg: number): { off: number; len: number } {
  const { off, len } = vhost_vdpa_config.decode(proc.mm.read(arg, vhost_vdpa_config.size));
  const size = v.vdpa.config.get_config_size(v.vdpa);
  if (len === 0 || off > size || len > size - off) {
    throw new KernelError('EINVAL', 'vhost_vdpa.config.range', `${len} bytes at ${off} of a configuration of ${size}`);
  }
  return { off, len };
}

async function setFeatures(k: VhostVdpaSymbols, v: VhostVdpa, state: OpenState, proc: Process, arg: number): Promise<void> {
  const status = v.vdpa.config.get_status(v.vdpa);
  if ((status & VIRTIO_CONFIG_S_FEATURES_OK) !== 0) {
    throw new KernelError('EBUSY', 'vhost_vdpa.features.settled', `features are settled: status 0x${status.toString(16)}`);
  }
  const features = get_user(proc.mm, arg, 8);
  try {
    await v.vdpa.set_features(features);
  } catch (cause) {
    throw new KernelError('EINVAL', 'vhost_vdpa.features.refused', `the parent refuses features 0x${features.toString(16)}`, { cause });
  }
  const actual = v.vdpa.config.get_driver_features(v.vdpa);
  for (const vq of state.vhost.vqs) vq.acked_features = actual;
}

/** Nothing to do for a device that does not run. @throws EOPNOTSUPP without the op */
async function migrate(v: VhostVdpa, state: OpenState, what: 'suspend' | 'resume'): Promise<void> {
  const op = v.vdpa.config[what];
  if (op === undefined) throw new KernelError('EOPNOTSUPP', `vhost_vdpa.${what}`, `the parent cannot ${what}`);
  if (!v.driverOk) return;
  await op(v.vdpa);
  state.suspended = what === 'suspend';
}

/** Answer one command, the device's lock held. @throws EPERM EFAULT EINVAL EBUSY EOPNOTSUPP ENOBUFS ENOIOCTLCMD ... */
async function locked(k: VhostVdpaSymbols, v: VhostVdpa, state: OpenState, cmd: number, arg: number, proc: Process): Promise<void> {
  const { vdpa } = v;
  const { config } = vdpa;
  switch (cmd) {
    case VHOST_VDPA_GET_DEVICE_ID: return put_user(proc.mm, arg, 4, config.get_device_id(vdpa));
    case VHOST_VDPA_GET_STATUS: return put_user(proc.mm, arg, 1, config.get_status(vdpa));
    case VHOST_VDPA_SET_STATUS: return await setStatus(k, v, state, Number(get_user(proc.mm, arg, 1)));
    case VHOST_VDPA_GET_CONFIG: {
      const { off, len } = configWindow(v, proc, arg);
      proc.mm.write(arg + vhost_vdpa_config.size, await k.vdpa_get_config(vdpa, off, len));
      return undefined;
    }
    case VHOST_VDPA_SET_CONFIG: {
      const { off, len } = configWindow(v, proc, arg);
      return await k.vdpa_set_config(vdpa, off, proc.mm.read(arg + vhost_vdpa_config.size, len));
    }
    case VHOST_GET_FEATURES: return put_user(proc.mm, arg, 8, config.get_device_features(vdpa));
    case VHOST_SET_FEATURES: return await setFeatures(k, v, state, proc, arg);
    case VHOST_VDPA_GET_VRING_NUM: return put_user(proc.mm, arg, 2, config.get_vq_num_max(vdpa));
    case VHOST_VDPA_GET_GROUP_NUM: return put_user(proc.mm, arg, 4, vdpa.ngroups);
    case VHOST_VDPA_GET_AS_NUM: return put_user(proc.mm, arg, 4, vdpa.nas);
    case VHOST_SET_LOG_BASE:
    case VHOST_SET_LOG_FD:
      throw new KernelError('ENOIOCTLCMD', 'vhost_vdpa.log', 'a device that writes memory itself keeps no log here');
    case VHOST_VDPA_SET_CONFIG_CALL: {
      const fd = Number(BigInt.asIntN(32, get_user(proc.mm, arg, 4)));
      return void v.setConfigCall(state, () => (fd === VHOST_FILE_UNBIND ? null : k.eventfd_ctx_fdget(proc, fd)));
    }
    case VHOST_GET_BACKEND_FEATURES: return put_user(proc.mm, arg, 8, backendFeatures(v));
    case VHOST_VDPA_GET_IOVA_RANGE: {
      proc.mm.write(arg, vhost_vdpa_iova_range.encode(state.range));
      return undefined;
    }
    case VHOST_VDPA_GET_CONFIG_SIZE: return put_user(proc.mm, arg, 4, config.get_config_size(vdpa));
    case VHOST_VDPA_GET_VQS_COUNT: return put_user(proc.mm, arg, 4, vdpa.nvqs);
    case VHOST_VDPA_SUSPEND: return await migrate(v, state, 'suspend');
    case VHOST_VDPA_RESUME: return await migrate(v, state, 'resume');
    default:
      if (await k.vhost_dev_ioctl(state.vhost, cmd, arg, proc)) return cmd === VHOST_SET_OWNER ? await v.bindMm(state) : undefined;
      return await vringIoctl(k, v, state, cmd, arg, proc);
  }
}

/** One ioctl of an open file. */
export async function ioctl(k: VhostVdpaSymbols, v: VhostVdpa, cmd: number, arg: number, proc: Process): Promise<number> {
  const { state } = v;
  if (state === null) throw new Error(`/dev/vhost-vdpa-${v.minor}: an ioctl without an open file`);
  if (cmd === VHOST_SET_BACKEND_FEATURES) {
    setBackendFeatures(k, v, state, get_user(proc.mm, arg, 8));
    return 0;
  }
  const { mutex } = state.vhost;
  await k.mutex_lock(mutex);
  try {
    await locked(k, v, state, cmd, arg, proc);
  } finally {
    k.mutex_unlock(mutex);
  }
  return 0;
}
