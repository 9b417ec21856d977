/** The ioctls about one queue. Mirrors `vhost_vring_ioctl` in `drivers/vhost/vhost.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { EventfdCtx, Process } from '@vdpalab/fs';
import {
  VHOST_FILE_UNBIND, VHOST_GET_VRING_BASE, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,
  VHOST_SET_VRING_BUSYLOOP_TIMEOUT, VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR, VHOST_SET_VRING_KICK, VHOST_SET_VRING_NUM,
  VHOST_VRING_F_LOG, VIRTIO_F_RING_PACKED, vhost_vring_addr, vhost_vring_file, vhost_vring_state,
} from '@vdpalab/uapi';
import { logUsedAccessOk, vqAccessOk } from './access.ts';
import type { DevState, VhostNeeds, VirtqueueState } from './dev.ts';

const VRING_AVAIL_ALIGN_SIZE = 2n;
const VRING_USED_ALIGN_SIZE = 4n;
const isPacked = (vq: VirtqueueState): boolean => (vq.acked_features & (1n << BigInt(VIRTIO_F_RING_PACKED))) !== 0n;

type State = { readonly index: number; readonly num: number };

function readState(arg: number, proc: Process): State {
  return vhost_vring_state.decode(proc.mm.read(arg, vhost_vring_state.size));
}

/** Size and base stay while a backend works on the ring. @throws EBUSY */
function checkIdle(vq: VirtqueueState, what: string): void {
  if (vq.private_data !== null) throw new KernelError('EBUSY', 'vhost.vring.active', `queue ${vq.index}: a backend works on it, ${what} stays`);
}

function setNum(vq: VirtqueueState, { num }: State): void {
  if (num === 0 || num > 0xffff || (num & (num - 1)) !== 0) {
    throw new KernelError('EINVAL', 'vhost.vring.num', `queue ${vq.index}: size ${num} is no power of two up to 65535`);
  }
  vq.num = num;
}

function setAddr(vq: VirtqueueState, arg: number, proc: Process): void {
  const a = vhost_vring_addr.decode(proc.mm.read(arg, vhost_vring_addr.size));
  const refuse = (errno: 'EINVAL' | 'EOPNOTSUPP', rule: string, text: string): never => {
    throw new KernelError(errno, `vhost.vring.addr.${rule}`, `queue ${vq.index}: ${text}`);
  };
  if ((a.flags & ~(1 << VHOST_VRING_F_LOG)) !== 0) refuse('EOPNOTSUPP', 'flags', `flags 0x${a.flags.toString(16)}`);
  if (a.avail_user_addr % VRING_AVAIL_ALIGN_SIZE !== 0n) refuse('EINVAL', 'avail', `available ring at 0x${a.avail_user_addr.toString(16)}`);
  if (a.used_user_addr % VRING_USED_ALIGN_SIZE !== 0n) refuse('EINVAL', 'used', `used ring at 0x${a.used_user_addr.toString(16)}`);
  if (a.log_guest_addr % VRING_USED_ALIGN_SIZE !== 0n) refuse('EINVAL', 'log', `log at 0x${a.log_guest_addr.toString(16)}`);
  if (vq.private_data !== null) {
    if (!vqAccessOk(vq, a.desc_user_addr, a.avail_user_addr, a.used_user_addr)) refuse('EINVAL', 'access', 'a ring is not in user space');
    const logged = (a.flags & (1 << VHOST_VRING_F_LOG)) !== 0;
    if (!logUsedAccessOk(vq, vq.log_base, logged, a.log_guest_addr)) refuse('EINVAL', 'log-access', `the log at 0x${vq.log_base.toString(16)} does not cover the used ring`);
  }
  vq.log_used = (a.flags & (1 << VHOST_VRING_F_LOG)) !== 0;
  vq.desc = a.desc_user_addr;
  vq.avail = a.avail_user_addr;
  vq.used = a.used_user_addr;
  vq.log_addr = a.log_guest_addr;
}

function setBase(vq: VirtqueueState, { num }: State): void {
  if (isPacked(vq)) {
    vq.last_avail_idx = num & 0xffff;
    vq.last_used_idx = num >>> 16;
    return;
  }
  if (num > 0xffff) throw new KernelError('EINVAL', 'vhost.vring.base', `queue ${vq.index}: index ${num} is above 65535`);
  vq.last_avail_idx = num;
}

function getBase(vq: VirtqueueState, arg: number, proc: Process): void {
  const num = isPacked(vq) ? (vq.last_avail_idx | (vq.last_used_idx << 16)) >>> 0 : vq.last_avail_idx;
  proc.mm.write(arg, vhost_vring_state.encode({ index: vq.index, num }));
}

/** The eventfd a queue ioctl names; `null` to unbind. @throws EBADF EINVAL */
function eventfdOf(k: VhostNeeds, arg: number, proc: Process): EventfdCtx | null {
  const { fd } = vhost_vring_file.decode(proc.mm.read(arg, vhost_vring_file.size));
  return fd === VHOST_FILE_UNBIND ? null : k.eventfd_ctx_fdget(proc, fd);
}

function setKick(k: VhostNeeds, vq: VirtqueueState, kick: EventfdCtx | null): void {
  const old = vq.kick;
  if (kick === old) {
    if (kick !== null) k.eventfd_ctx_put(kick); // it is polled already, and a count it has was seen
    return;
  }
  vq.stopPoll();
  vq.kick = kick;
  if (old !== null) k.eventfd_ctx_put(old);
  vq.startPoll();
}

/**
 * Answer one.
 *
 * @throws EFAULT ENOBUFS EINVAL EOPNOTSUPP EBADF; EBUSY for size and base while a backend works on the queue
 * @returns false when the command is no queue ioctl
 */
export async function vringIoctl(k: VhostNeeds, dev: DevState, cmd: number, arg: number, proc: Process): Promise<boolean> {
  const idx = new DataView(proc.mm.read(arg, 4).slice().buffer).getUint32(0, true);
  const vq = dev.vq(idx);
  await k.mutex_lock(vq.mutex);
  try {
    switch (cmd) {
      case VHOST_SET_VRING_NUM: checkIdle(vq, 'its size'); setNum(vq, readState(arg, proc)); return true;
      case VHOST_SET_VRING_ADDR: setAddr(vq, arg, proc); return true;
      case VHOST_SET_VRING_BASE: checkIdle(vq, 'its base'); setBase(vq, readState(arg, proc)); return true;
      case VHOST_GET_VRING_BASE: getBase(vq, arg, proc); return true;
      case VHOST_SET_VRING_KICK: setKick(k, vq, eventfdOf(k, arg, proc)); return true;
      case VHOST_SET_VRING_CALL: {
        const old = vq.call_ctx;
        vq.call_ctx = eventfdOf(k, arg, proc);
        if (old !== null) k.eventfd_ctx_put(old);
        return true;
      }
      case VHOST_SET_VRING_ERR: {
        const old = vq.error_ctx;
        vq.error_ctx = eventfdOf(k, arg, proc);
        if (old !== null) k.eventfd_ctx_put(old);
        return true;
      }
      case VHOST_SET_VRING_BUSYLOOP_TIMEOUT: vq.busyloop_timeout = readState(arg, proc).num; return true;
      case VHOST_GET_VRING_BUSYLOOP_TIMEOUT:
        proc.mm.write(arg, vhost_vring_state.encode({ index: idx, num: vq.busyloop_timeout }));
        return true;
      default: return false;
    }
  } finally {
    k.mutex_unlock(vq.mutex);
  }
}
