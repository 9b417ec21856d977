/** The ioctls about one queue. After `vhost_mdev_vring_ioctl` of the RFC of 2019. */
import { foldError, isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VHOST_GET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL, VHOST_SET_VRING_NUM, VHOST_VDPA_SET_VRING_ENABLE,
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, get_user, vhost_vring_state,
} from '@vdpalab/uapi';
import type { VhostVirtqueue } from '@vdpalab/vhost';
import type { VhostMdev } from './device.ts';
import { refuse } from './refuse.ts';

/** Queues are set up once features are settled, and before the driver runs. @throws EBUSY */
function checkWindow({ backend, name }: VhostMdev, idx: number): void {
  const status = backend.get_status();
  const window = status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
  if (window !== VIRTIO_CONFIG_S_FEATURES_OK) {
    refuse('EBUSY', 'vring.window', `${name}: queue ${idx} is set up between FEATURES_OK and DRIVER_OK, status is 0x${status.toString(16)}`);
  }
}

/** Whatever the parent refuses with is ENODEV outside. */
async function refusedAs(what: 'address' | 'state', idx: number, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw foldError('ENODEV', `vhost_mdev.vring.${what}`, `queue ${idx}: the parent refuses the ${what}: ${error.message} (${error.errno})`, error);
  }
}

/** The eventfd of a queue has changed. */
function setCall({ k, backend }: VhostMdev, vq: VhostVirtqueue): Atomic {
  const trigger = vq.call_ctx;
  return backend.set_vq_cb(vq.index, trigger === null ? null : { callback: () => k.eventfd_signal(trigger, 1), trigger });
}

/** Tell the parent what vhost has taken over. Ring addresses are the container's bus addresses. */
async function apply(m: VhostMdev, vq: VhostVirtqueue, cmd: number): Promise<void> {
  const { backend } = m;
  switch (cmd) {
    case VHOST_SET_VRING_NUM: return void backend.set_vq_num(vq.index, vq.num);
    case VHOST_SET_VRING_ADDR: return await refusedAs('address', vq.index, async () => backend.set_vq_address(vq.index, vq.desc, vq.avail, vq.used));
    case VHOST_SET_VRING_BASE: return await refusedAs('state', vq.index, () => backend.set_vq_state(vq.index, vq.last_avail_idx));
    case VHOST_SET_VRING_CALL: return void setCall(m, vq);
    default: return undefined;
  }
}

/**
 * Answer one; the command was none of the device's or vhost's own.
 *
 * @throws EFAULT ENOBUFS EINVAL ENODEV; EBUSY outside of the time for it, and for a queue that is ready; ENOIOCTLCMD when it is no queue ioctl either
 */
export async function vringIoctl(m: VhostMdev, cmd: number, arg: number, proc: Process): Promise<void> {
  const { k, backend, nvqs, state: { vhost } } = m;
  const idx = Number(get_user(proc.mm, arg, 4));
  const vq = vhost.vqs[idx];
  if (vq === undefined) return refuse('ENOBUFS', 'vring.index', `queue ${idx} of ${nvqs}`);
  checkWindow(m, idx);
  if (cmd === VHOST_VDPA_SET_VRING_ENABLE) {
    const { num } = vhost_vring_state.decode(proc.mm.read(arg, vhost_vring_state.size));
    return await backend.set_vq_ready(idx, num !== 0);
  }
  if (backend.get_vq_ready(idx)) refuse('EBUSY', 'vring.ready', `queue ${idx} is ready`);
  if (cmd === VHOST_GET_VRING_BASE) vq.last_avail_idx = await backend.get_vq_state(idx);
  if (!(await k.vhost_vring_ioctl(vhost, cmd, arg, proc))) refuse('ENOIOCTLCMD', 'ioctl', `command 0x${cmd.toString(16)} is unknown`);
  await apply(m, vq, cmd);
}
