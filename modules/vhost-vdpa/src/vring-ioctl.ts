/** The ioctls about one queue. Mirrors `vhost_vdpa_vring_ioctl` in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { foldError, isKernelError, KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VHOST_GET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL, VHOST_SET_VRING_NUM,
  VHOST_VDPA_GET_VRING_DESC_GROUP, VHOST_VDPA_GET_VRING_GROUP, VHOST_VDPA_GET_VRING_SIZE, VHOST_VDPA_SET_GROUP_ASID, VHOST_VDPA_SET_VRING_ENABLE, VIRTIO_F_RING_PACKED, vhost_vring_state,
} from '@vdpalab/uapi';
import type { VdpaVqState } from '@vdpalab/vdpa-core';
import type { VhostVirtqueue } from '@vdpalab/vhost';
import type { OpenState, VhostVdpa, VhostVdpaSymbols } from './device.ts';

const isPacked = (vq: VhostVirtqueue): boolean => (vq.acked_features & (1n << BigInt(VIRTIO_F_RING_PACKED))) !== 0n;

/** Fifteen bits of index and the wrap counter above them, twice. */
function toState(vq: VhostVirtqueue): VdpaVqState {
  if (!isPacked(vq)) return { kind: 'split', avail_index: vq.last_avail_idx };
  const half = (raw: number) => ({ counter: raw >> 15 === 0 ? 0 : 1, idx: raw & 0x7fff }) as const;
  const avail = half(vq.last_avail_idx);
  const used = half(vq.last_used_idx);
  return {
    kind: 'packed', last_avail_counter: avail.counter, last_avail_idx: avail.idx, last_used_counter: used.counter, last_used_idx: used.idx,
  };
}

function fromState(vq: VhostVirtqueue, state: VdpaVqState): void {
  if (state.kind === 'split') {
    vq.last_avail_idx = state.avail_index;
    return;
  }
  vq.last_avail_idx = (state.last_avail_counter << 15) | state.last_avail_idx;
  vq.last_used_idx = (state.last_used_counter << 15) | state.last_used_idx;
}

/** Whatever the parent refuses with is EINVAL outside. */
async function refusedAs(what: 'address' | 'state', vq: VhostVirtqueue, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw foldError('EINVAL', `vhost_vdpa.vring.${what}`, `queue ${vq.index}: the parent refuses the ${what}: ${error.message} (${error.errno})`, error);
  }
}

/** Later than 6.1, for parents that can resume: a running ring is not moved. @throws EINVAL */
function checkStopped(v: VhostVdpa, state: OpenState, idx: number): void {
  if (v.vdpa.config.resume === undefined || state.suspended || !v.driverOk) return;
  throw new KernelError('EINVAL', 'vhost_vdpa.vring.running', `queue ${idx}: the device runs and is not suspended`);
}

/** Tell the parent what vhost has taken over. */
async function apply(v: VhostVdpa, state: OpenState, vq: VhostVirtqueue, cmd: number): Promise<void> {
  const { vdpa } = v;
  const { config } = vdpa;
  switch (cmd) {
    case VHOST_SET_VRING_NUM: config.set_vq_num(vdpa, vq.index, vq.num); return undefined;
    case VHOST_SET_VRING_ADDR:
      return await refusedAs('address', vq, async () => config.set_vq_address(vdpa, vq.index, vq.desc, vq.avail, vq.used));
    case VHOST_SET_VRING_BASE: return await refusedAs('state', vq, () => config.set_vq_state(vdpa, vq.index, toState(vq)));
    case VHOST_SET_VRING_CALL: return await v.setVqCall(state, vq);
    default: return undefined;
  }
}

async function setGroupAsid(v: VhostVdpa, group: number, asid: number): Promise<void> {
  const { vdpa } = v;
  if (group >= vdpa.ngroups) throw new KernelError('EINVAL', 'vhost_vdpa.group', `group ${group} of ${vdpa.ngroups}`);
  if (asid >= vdpa.nas) throw new KernelError('EINVAL', 'vhost_vdpa.group.asid', `asid ${asid} of ${vdpa.nas}`);
  if (vdpa.config.set_group_asid === undefined) throw new KernelError('EOPNOTSUPP', 'vhost_vdpa.group.op', 'the parent has one address space for all');
  await vdpa.config.set_group_asid(vdpa, group, asid);
}

function getGroup(v: VhostVdpa, op: 'get_vq_group' | 'get_vq_desc_group', idx: number, arg: number, proc: Process): void {
  const { vdpa } = v;
  const group = vdpa.config[op];
  if (group === undefined) throw new KernelError('EOPNOTSUPP', 'vhost_vdpa.vring.group-op', `the parent has no ${op}`);
  const num = group(vdpa, idx);
  if (num >= vdpa.ngroups) throw new KernelError('EIO', 'vhost_vdpa.vring.group', `queue ${idx}: group ${num} of ${vdpa.ngroups}`);
  proc.mm.write(arg, vhost_vring_state.encode({ index: idx, num }));
}

function getSize(v: VhostVdpa, idx: number, arg: number, proc: Process): void {
  const { vdpa } = v;
  if (vdpa.config.get_vq_size === undefined) throw new KernelError('EOPNOTSUPP', 'vhost_vdpa.vring.size-op', 'the parent has one size for all queues');
  proc.mm.write(arg, vhost_vring_state.encode({ index: idx, num: vdpa.config.get_vq_size(vdpa, idx) }));
}

/**
 * Answer one; the command was none of the device's or vhost's own.
 *
 * @throws EFAULT ENOBUFS EINVAL EIO EOPNOTSUPP; ENOIOCTLCMD when it is no queue ioctl either
 */
export async function vringIoctl(k: VhostVdpaSymbols, v: VhostVdpa, state: OpenState, cmd: number, arg: number, proc: Process): Promise<void> {
  const idx = new DataView(proc.mm.read(arg, 4).slice().buffer).getUint32(0, true);
  const vq = state.vhost.vqs[idx];
  if (vq === undefined) throw new KernelError('ENOBUFS', 'vhost_vdpa.vring.index', `queue ${idx} of ${v.vdpa.nvqs}`);
  const num = (): number => vhost_vring_state.decode(proc.mm.read(arg, vhost_vring_state.size)).num;
  switch (cmd) {
    case VHOST_VDPA_SET_VRING_ENABLE: return await v.vdpa.config.set_vq_ready(v.vdpa, idx, num() !== 0);
    case VHOST_VDPA_GET_VRING_GROUP: return getGroup(v, 'get_vq_group', idx, arg, proc);
    case VHOST_VDPA_GET_VRING_DESC_GROUP: return getGroup(v, 'get_vq_desc_group', idx, arg, proc);
    case VHOST_VDPA_GET_VRING_SIZE: return getSize(v, idx, arg, proc);
    case VHOST_SET_VRING_ADDR:
    case VHOST_SET_VRING_BASE: checkStopped(v, state, idx); break;
    case VHOST_VDPA_SET_GROUP_ASID: return await setGroupAsid(v, idx, num());
    case VHOST_GET_VRING_BASE: fromState(vq, await v.vdpa.config.get_vq_state(v.vdpa, idx)); break;
    default: break;
  }
  if (!(await k.vhost_vring_ioctl(state.vhost, cmd, arg, proc))) {
    throw new KernelError('ENOIOCTLCMD', 'vhost_vdpa.ioctl', `command 0x${cmd.toString(16)} is unknown`);
  }
  await apply(v, state, vq, cmd);
}
