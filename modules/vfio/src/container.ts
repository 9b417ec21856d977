/** Containers: address spaces that groups share. Mirrors `drivers/vfio/container.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { FileOperations, Process } from '@vdpalab/fs';
import type { RwSemaphore } from '@vdpalab/sched';
import { CAP_SYS_RAWIO, VFIO_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_GET_API_VERSION, VFIO_SET_IOMMU } from '@vdpalab/uapi';
import type { VfioGroup } from './group.ts';
import type { VfioIommuDriverOps } from './header.ts';
import { refuse } from './refuse.ts';
import type { Vfio } from './state.ts';

/** A backend in use. */
export interface Backend {
  readonly ops: VfioIommuDriverOps;
  readonly data: unknown;
}

/** `struct vfio_container` */
export class VfioContainer {
  /** `group_lock` */
  readonly lock: RwSemaphore;
  readonly groups = new Set<VfioGroup>();
  backend: Backend | null = null;
  noiommu = false;
  /** Its file is open. */
  open = true;

  constructor(vfio: Vfio) {
    this.lock = vfio.k.init_rwsem('vfio_container.group_lock');
    vfio.containers.add(this);
  }
}

/** Forget a container that neither a file nor a group holds. */
function settle(vfio: Vfio, container: VfioContainer): void {
  if (!container.open && container.groups.size === 0) vfio.containers.delete(container);
}

/** The file /dev/vfio/vfio. @see `vfio_fops` */
export function containerFops(vfio: Vfio): FileOperations {
  return {
    owner: vfio.owner,
    async open(file) {
      file.private_data = new VfioContainer(vfio);
    },
    async release(file) {
      const container = file.private_data as VfioContainer; // set by open
      const { backend } = container;
      await backend?.ops.notify?.(backend.data, 'VFIO_IOMMU_CONTAINER_CLOSE');
      container.open = false;
      settle(vfio, container);
    },
    unlocked_ioctl: (file, cmd, arg, proc) => containerIoctl(vfio, file.private_data as VfioContainer, cmd, arg, proc),
  };
}

async function containerIoctl(vfio: Vfio, container: VfioContainer, cmd: number, arg: number, proc: Process): Promise<number> {
  switch (cmd) {
    case VFIO_GET_API_VERSION: return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION: return await checkExtension(vfio, container, arg, proc);
    case VFIO_SET_IOMMU: return await setIommu(vfio, container, arg, proc);
    default: {
      const { backend } = container;
      if (backend === null) return refuse('EINVAL', 'container.no-iommu', `command 0x${cmd.toString(16)}: VFIO_SET_IOMMU comes first`);
      return await backend.ops.ioctl(backend.data, cmd, arg, proc);
    }
  }
}

/** Without a backend, the first that says yes; with one, that one. @see `vfio_container_ioctl_check_extension` */
async function checkExtension({ k, drivers }: Vfio, container: VfioContainer, arg: number, proc: Process): Promise<number> {
  await k.down_read(container.lock);
  try {
    const { backend } = container;
    if (backend !== null) return await backend.ops.ioctl(backend.data, VFIO_CHECK_EXTENSION, arg, proc);
    for (const ops of drivers.list) {
      if ((container.groups.size > 0 && !allowed(container, ops)) || !k.try_module_get(ops.owner)) continue;
      try {
        const answer = await ops.ioctl(null, VFIO_CHECK_EXTENSION, arg, proc);
        if (answer > 0) return answer;
      } finally {
        k.module_put(ops.owner);
      }
    }
    return 0;
  } finally {
    k.up_read(container.lock);
  }
}

/** Devices without an IOMMU get the backend that maps nothing, the others one that maps. @see `vfio_iommu_driver_allowed` */
function allowed(container: VfioContainer, ops: VfioIommuDriverOps): boolean {
  return container.noiommu === (ops.name === 'vfio-noiommu');
}

/**
 * Give the container the first backend that takes the type and all its groups.
 *
 * @throws EINVAL without a group, or with a backend already; ENODEV when no backend knows the type; what the last that does refused with
 * @see `vfio_ioctl_set_iommu`
 */
async function setIommu({ k, drivers }: Vfio, container: VfioContainer, arg: number, proc: Process): Promise<number> {
  await k.down_write(container.lock);
  try {
    if (container.groups.size === 0) refuse('EINVAL', 'set-iommu.no-group', 'the container has no group yet');
    if (container.backend !== null) refuse('EINVAL', 'set-iommu.twice', `the container has ${container.backend.ops.name} already`);
    let refusal: unknown = null;
    for (const ops of drivers.list) {
      if (!allowed(container, ops) || !k.try_module_get(ops.owner)) continue;
      try {
        if ((await ops.ioctl(null, VFIO_CHECK_EXTENSION, arg, proc)) > 0) {
          container.backend = await tryBackend(container, ops, arg);
          return 0;
        }
      } catch (error) {
        if (!isKernelError(error)) throw error;
        refusal = error;
      } finally {
        if (container.backend === null) k.module_put(ops.owner);
      }
    }
    if (refusal !== null) throw refusal;
    return refuse('ENODEV', 'set-iommu.type', `no backend knows IOMMU type ${arg}`);
  } finally {
    k.up_write(container.lock);
  }
}

/** Open a backend and attach every group; what fails leaves nothing. */
async function tryBackend(container: VfioContainer, ops: VfioIommuDriverOps, arg: number): Promise<Backend> {
  const data = await ops.open(arg);
  const attached: VfioGroup[] = [];
  try {
    for (const group of container.groups) {
      await ops.attach_group(data, group.liveIommuGroup, group.type);
      attached.push(group);
    }
  } catch (error) {
    for (const group of attached.toReversed()) await ops.detach_group(data, group.liveIommuGroup);
    await ops.release(data);
    throw error;
  }
  return { ops, data };
}

/**
 * Put a group into a container: its DMA is then user space's. Call with the group's lock held.
 *
 * @throws EPERM EBUSY when somebody else decides over the group's DMA; EPERM to mix groups with and without IOMMU; the backend's errno
 * @see `vfio_container_attach_group`
 */
export async function attachGroup({ k }: Vfio, container: VfioContainer, group: VfioGroup): Promise<void> {
  const noiommu = group.type === 'VFIO_NO_IOMMU';
  if (noiommu && !k.capable(CAP_SYS_RAWIO)) refuse('EPERM', 'noiommu.cap', 'DMA without an IOMMU needs CAP_SYS_RAWIO');
  await k.down_write(container.lock);
  try {
    if (container.groups.size > 0 && container.noiommu !== noiommu) {
      refuse('EPERM', 'container.mixed', 'groups with and without an IOMMU share no container');
    }
    const iommuGroup = group.liveIommuGroup;
    if (group.type === 'VFIO_IOMMU') k.iommu_group_claim_dma_owner(iommuGroup, group);
    try {
      await container.backend?.ops.attach_group(container.backend.data, iommuGroup, group.type);
    } catch (error) {
      if (group.type === 'VFIO_IOMMU') k.iommu_group_release_dma_owner(iommuGroup);
      throw error;
    }
    group.container = container;
    group.container_users = 1;
    container.noiommu = noiommu;
    container.groups.add(group);
  } finally {
    k.up_write(container.lock);
  }
}

/** Take it out; with the last group goes the backend. Call with the group's lock held. @see `vfio_group_detach_container` */
export async function detachGroup(vfio: Vfio, group: VfioGroup): Promise<void> {
  const { k } = vfio;
  const container = group.container!; // the caller has looked
  await k.down_write(container.lock);
  try {
    const { backend } = container;
    const iommuGroup = group.liveIommuGroup;
    await backend?.ops.detach_group(backend.data, iommuGroup);
    if (group.type === 'VFIO_IOMMU') k.iommu_group_release_dma_owner(iommuGroup);
    group.container = null;
    group.container_users = 0;
    container.groups.delete(group);
    if (backend !== null && container.groups.size === 0) {
      await backend.ops.release(backend.data);
      k.module_put(backend.ops.owner);
      container.backend = null;
    }
  } finally {
    k.up_write(container.lock);
  }
  settle(vfio, container);
}
