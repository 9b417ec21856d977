/** The ioctls of `/dev/vduse/NAME`. Mirrors `vduse_dev_ioctl` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { FileOperations, FsSymbols, Process } from '@vdpalab/fs';
import {
  O_RDONLY, O_RDWR, O_WRONLY, RLIMIT_MEMLOCK, VDUSE_DEV_GET_FEATURES, VDUSE_DEV_INJECT_CONFIG_IRQ, VDUSE_DEV_SET_CONFIG, VDUSE_EVENTFD_DEASSIGN,
  VDUSE_IOTLB_DEREG_UMEM, VDUSE_IOTLB_GET_FD, VDUSE_IOTLB_GET_INFO, VDUSE_IOTLB_REG_UMEM, VDUSE_IOVA_CAP_UMEM, VDUSE_VQ_GET_INFO,
  VDUSE_VQ_INJECT_IRQ, VDUSE_VQ_SETUP, VDUSE_VQ_SETUP_KICKFD, VHOST_ACCESS_RO, VHOST_ACCESS_WO, vduse_config_data, vduse_iotlb_entry,
  vduse_iova_info, vduse_iova_umem, vduse_vq_config, vduse_vq_eventfd, vduse_vq_info, get_user, put_user,
} from '@vdpalab/uapi';
import type { VdpaVqState } from '@vdpalab/vdpa-core';
import type { DeviceSymbols, VduseDev } from './device.ts';
import { VDUSE_BOUNCE_SIZE } from './domain.ts';
import type { MapFile } from './map-file.ts';

const PAGE_SIZE = 4096;

/** What the ioctls take. */
export type IoctlSymbols = DeviceSymbols & Pick<FsSymbols, 'anon_inode_getfd'>;

/** `perm_to_file_flags` */
function fileFlags(perm: number): number {
  if (perm === VHOST_ACCESS_WO) return O_WRONLY;
  return perm === VHOST_ACCESS_RO ? O_RDONLY : O_RDWR;
}

/** A range of the IOTLB as a descriptor to map. @returns the descriptor. @throws EINVAL when nothing is there */
function getFd(k: IoctlSymbols, dev: VduseDev, arg: number, proc: Process): number {
  const asked = vduse_iotlb_entry.decode(proc.mm.read(arg, vduse_iotlb_entry.size));
  if (asked.start > asked.last) throw new KernelError('EINVAL', 'vduse.iotlb.range', `${dev.name}: ${asked.start} is behind ${asked.last}`);
  const map = dev.domain.find(asked.start, asked.last);
  if (map === null) throw new KernelError('EINVAL', 'vduse.iotlb.unmapped', `${dev.name}: nothing is mapped between ${asked.start} and ${asked.last}`);
  const { source, offset } = map.opaque;
  proc.mm.write(arg, vduse_iotlb_entry.encode({ offset, start: map.start, last: map.last, perm: map.perm }));
  source.get();
  try {
    return k.anon_inode_getfd(proc, source.name, fileOf(source), source, fileFlags(map.perm));
  } catch (error) {
    source.put();
    throw error;
  }
}

/** A source as a file: nothing but mappings. */
function fileOf(source: MapFile['source']): FileOperations {
  return {
    async mmap(_, vma) {
      vma.backing = source.backing(vma.pgoff * PAGE_SIZE, vma.end - vma.start);
    },
    release: async () => source.put(), // mappings keep the file, and the file its pages
  };
}

/** `packed` of the union; a split ring's index stands in its first word. */
function stateWords(state: VdpaVqState): { last_avail_counter: number; last_avail_idx: number; last_used_counter: number; last_used_idx: number } {
  if (state.kind === 'split') return { last_avail_counter: state.avail_index, last_avail_idx: 0, last_used_counter: 0, last_used_idx: 0 };
  const { last_avail_counter, last_avail_idx, last_used_counter, last_used_idx } = state;
  return { last_avail_counter, last_avail_idx, last_used_counter, last_used_idx };
}

/** The process writes the configuration that drivers read. @throws EINVAL for a range outside */
function setConfig(dev: VduseDev, arg: number, proc: Process): void {
  const { offset, length } = vduse_config_data.decode(proc.mm.read(arg, vduse_config_data.size));
  const { config } = dev.init;
  if (offset > config.length || length === 0 || length > config.length - offset) {
    throw new KernelError('EINVAL', 'vduse.config.range', `${dev.name}: ${length} bytes at ${offset} of a configuration of ${config.length}`);
  }
  config.set(proc.mm.read(arg + vduse_config_data.size, length), offset);
}

function setupVq(dev: VduseDev, arg: number, proc: Process): void {
  const { index, max_size, reserved } = vduse_vq_config.decode(proc.mm.read(arg, vduse_vq_config.size));
  const vq = dev.vq(index);
  if (reserved.some((word) => word !== 0)) throw new KernelError('EINVAL', 'vduse.vq.reserved', `${dev.name}: queue ${index}: reserved words are not zero`);
  vq.num_max = max_size;
}

function getVqInfo(dev: VduseDev, arg: number, proc: Process): void {
  const { index } = vduse_vq_info.decode(proc.mm.read(arg, vduse_vq_info.size));
  const { num, desc_addr, driver_addr, device_addr, state, ready } = dev.vq(index);
  proc.mm.write(arg, vduse_vq_info.encode({ index, num, desc_addr, driver_addr, device_addr, packed: stateWords(state), ready: ready ? 1 : 0 }));
}

function setupKickfd(k: IoctlSymbols, dev: VduseDev, arg: number, proc: Process): void {
  const { index, fd } = vduse_vq_eventfd.decode(proc.mm.read(arg, vduse_vq_eventfd.size));
  dev.vq(index); // is there, before the descriptor is looked at
  if (fd < 0 && fd !== VDUSE_EVENTFD_DEASSIGN) return; // taken without effect, as Linux does
  dev.setKickfd(index, fd < 0 ? null : k.eventfd_ctx_fdget(proc, fd));
}

/** `vduse_dev_reg_umem` @throws EINVAL EEXIST EFAULT ENOMEM */
function registerUmem(k: IoctlSymbols, dev: VduseDev, arg: number, proc: Process): void {
  const { uaddr, iova, size, reserved } = vduse_iova_umem.decode(proc.mm.read(arg, vduse_iova_umem.size));
  const refuse = (rule: string, text: string): never => {
    throw new KernelError('EINVAL', rule, `${dev.name}: ${text}`);
  };
  if (reserved.some((word) => word !== 0n)) refuse('vduse.umem.reserved', 'reserved words are not zero');
  if (!dev.domain.bounceMapped) refuse('vduse.umem.no-bounce', 'no driver of this kernel uses it, so there is no bounce buffer to replace');
  if (size !== BigInt(VDUSE_BOUNCE_SIZE) || iova !== 0n || uaddr % BigInt(PAGE_SIZE) !== 0n) {
    refuse('vduse.umem.place', `${size} bytes at ${iova}, from 0x${uaddr.toString(16)}: the bounce buffer is ${VDUSE_BOUNCE_SIZE} bytes at 0, in whole pages`);
  }
  if (dev.umem !== null) throw new KernelError('EEXIST', 'vduse.umem.exists', `${dev.name}: memory is registered already`);
  const pages = Number(size) / PAGE_SIZE;
  const budget = Math.floor((proc.rlimits.get(RLIMIT_MEMLOCK) ?? Number.POSITIVE_INFINITY) / PAGE_SIZE);
  if (proc.mm.pinned_vm + pages > budget) {
    throw new KernelError('ENOMEM', 'vduse.umem.memlock', `${dev.name}: ${pages} pages and ${proc.mm.pinned_vm} pinned are over RLIMIT_MEMLOCK, ${budget} pages`);
  }
  const runs = k.pin_user_pages(proc.mm, Number(uaddr), Number(size), true);
  k.mmget(proc.mm);
  proc.mm.pinned_vm += pages;
  dev.umem = { mm: proc.mm, runs, iova, size };
  dev.domain.bounce.useMemory(runs.flatMap((run) => Array.from({ length: run.pages }, (_, n) => run.pa + n * PAGE_SIZE)));
}

function deregisterUmem(dev: VduseDev, arg: number, proc: Process): void {
  const { iova, size, reserved } = vduse_iova_umem.decode(proc.mm.read(arg, vduse_iova_umem.size));
  if (reserved.some((word) => word !== 0n)) throw new KernelError('EINVAL', 'vduse.umem.dereg-reserved', `${dev.name}: reserved words are not zero`);
  dev.leaveUmem(iova, size);
}

function getInfo(dev: VduseDev, arg: number, proc: Process): void {
  const { start, last, reserved } = vduse_iova_info.decode(proc.mm.read(arg, vduse_iova_info.size));
  if (start > last) throw new KernelError('EINVAL', 'vduse.info.range', `${dev.name}: ${start} is behind ${last}`);
  if (reserved.some((word) => word !== 0n)) throw new KernelError('EINVAL', 'vduse.info.reserved', `${dev.name}: reserved words are not zero`);
  const map = dev.domain.find(start, last);
  if (map === null) throw new KernelError('EINVAL', 'vduse.info.unmapped', `${dev.name}: nothing is mapped between ${start} and ${last}`);
  const isBounce = dev.domain.bounceMapped && map.start === 0n && map.last === BigInt(VDUSE_BOUNCE_SIZE - 1);
  proc.mm.write(arg, vduse_iova_info.encode({ start: map.start, last: map.last, capability: isBounce ? BigInt(VDUSE_IOVA_CAP_UMEM) : 0n }));
}

/** Handle one ioctl. @throws EPERM once the device is broken; ENOTTY for an unknown one */
export async function deviceIoctl(k: IoctlSymbols, dev: VduseDev, cmd: number, arg: number, proc: Process): Promise<number> {
  if (dev.messages.broken) throw new KernelError('EPERM', 'vduse.ioctl.broken', `${dev.name}: the device is broken`);
  switch (cmd) {
    case VDUSE_IOTLB_GET_FD: return getFd(k, dev, arg, proc);
    case VDUSE_DEV_GET_FEATURES: put_user(proc.mm, arg, 8, dev.driver_features); return 0;
    case VDUSE_DEV_SET_CONFIG: setConfig(dev, arg, proc); return 0;
    case VDUSE_DEV_INJECT_CONFIG_IRQ: dev.injectIrq(null); return 0;
    case VDUSE_VQ_SETUP: setupVq(dev, arg, proc); return 0;
    case VDUSE_VQ_GET_INFO: getVqInfo(dev, arg, proc); return 0;
    case VDUSE_VQ_SETUP_KICKFD: setupKickfd(k, dev, arg, proc); return 0;
    case VDUSE_VQ_INJECT_IRQ: dev.injectIrq(dev.vq(Number(get_user(proc.mm, arg, 4)))); return 0;
    case VDUSE_IOTLB_REG_UMEM: registerUmem(k, dev, arg, proc); return 0;
    case VDUSE_IOTLB_DEREG_UMEM: deregisterUmem(dev, arg, proc); return 0;
    case VDUSE_IOTLB_GET_INFO: getInfo(dev, arg, proc); return 0;
    default: throw new KernelError('ENOTTY', 'vduse.ioctl.unknown', `${dev.name}: no ioctl 0x${cmd.toString(16)}`);
  }
}
