/** A kernel with VFIO and a device that translates itself, for the tests of this package. */
import { isKernelError, type KernelSymbols } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, type BootedKernel } from '@vdpalab/testing';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, O_RDWR, PROT_READ, PROT_WRITE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU, vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap,
} from '@vdpalab/uapi';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';

/** Everything below and including this module. */
export const MODULES = ['sched', 'mm', 'fs', 'driver-core', 'iommu', 'vfio', 'iommu-type1'] as const;
export const PAGE = 4096;

/** What a call came to: its value, or its errno. */
export async function outcome<T>(call: () => Promise<T>): Promise<T | string> {
  try {
    return await call();
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
}

/** A process with a container, and the devices it opened in it. */
export class Client {
  readonly k: KernelSymbols;
  readonly proc: Process;
  readonly container: number;
  readonly fds: number[] = [];
  readonly scratch: number;

  private constructor(k: KernelSymbols, proc: Process, container: number, scratch: number) {
    this.k = k;
    this.proc = proc;
    this.container = container;
    this.scratch = scratch;
  }

  static async open(k: KernelSymbols, proc: Process): Promise<Client> {
    const scratch = await k.ksys_mmap(proc, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return new Client(k, proc, await k.ksys_open(proc, '/dev/vfio/vfio', O_RDWR), scratch);
  }

  /** Memory of so many pages. @returns its address */
  memory(pages: number): Promise<number> {
    return this.k.ksys_mmap(this.proc, 0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }

  /** An ioctl whose argument is these bytes. @returns them afterwards */
  async ioctl(fd: number, cmd: number, bytes: Uint8Array): Promise<Uint8Array> {
    this.proc.mm.write(this.scratch, bytes);
    await this.k.ksys_ioctl(this.proc, fd, cmd, this.scratch);
    return this.proc.mm.read(this.scratch, bytes.length);
  }

  /** Put a group into the container. */
  async join(group: number): Promise<number> {
    const fd = await this.k.ksys_open(this.proc, `/dev/vfio/${group}`, O_RDWR);
    this.fds.push(fd);
    const arg = new Uint8Array(4);
    new DataView(arg.buffer).setInt32(0, this.container, true);
    await this.ioctl(fd, VFIO_GROUP_SET_CONTAINER, arg);
    return fd;
  }

  async setIommu(type = VFIO_TYPE1v2_IOMMU): Promise<void> {
    await this.k.ksys_ioctl(this.proc, this.container, VFIO_SET_IOMMU, type);
  }

  /** Open a device of a group that has joined. */
  async device(groupFd: number, name: string): Promise<number> {
    this.proc.mm.write(this.scratch, Uint8Array.from([...name, '\0'], (c) => c.charCodeAt(0)));
    const fd = await this.k.ksys_ioctl(this.proc, groupFd, VFIO_GROUP_GET_DEVICE_FD, this.scratch);
    this.fds.push(fd);
    return fd;
  }

  async map(vaddr: number, iova: bigint, pages: number, flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE): Promise<void> {
    await this.ioctl(this.container, VFIO_IOMMU_MAP_DMA, vfio_iommu_type1_dma_map.encode({
      argsz: vfio_iommu_type1_dma_map.size, flags, vaddr: BigInt(vaddr), iova, size: BigInt(pages * PAGE),
    }));
  }

  /** @returns bytes unmapped */
  async unmap(iova: bigint, pages: number, flags = 0): Promise<number> {
    const bytes = await this.ioctl(this.container, VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_unmap.encode({
      argsz: vfio_iommu_type1_dma_unmap.size, flags, iova, size: BigInt(pages * PAGE),
    }));
    return Number(vfio_iommu_type1_dma_unmap.decode(bytes).size);
  }

  async close(): Promise<void> {
    for (const fd of this.fds.splice(0).toReversed()) await this.k.ksys_close(this.proc, fd);
    await this.k.ksys_close(this.proc, this.container);
  }
}

/** A device that a driver registered. */
export interface Toy {
  readonly dev: Device;
  readonly vdev: VfioDevice;
  readonly group: number;
  readonly remove: () => Promise<void>;
}

/** Make one, in an emulated group of its own. */
export async function toy(k: KernelSymbols, name: string, ops: Partial<VfioDeviceOps> = {}): Promise<Toy> {
  const dev = k.device_initialize({ name });
  await k.device_add(dev);
  const vdev = await k._vfio_alloc_device(dev, { name: 'toy', ...ops }, null);
  await k.vfio_register_emulated_iommu_dev(vdev);
  return {
    dev, vdev, group: (dev.iommu_group as { id: number }).id, // just put into one
    async remove() {
      await k.vfio_unregister_group_dev(vdev);
      k.put_device(vdev.device);
      await k.device_unregister(dev);
    },
  };
}

/** Boot. */
export function boot(): Promise<BootedKernel> {
  return bootBuiltins(MODULES);
}

/** Run with a device `toy0` open in a container; nothing may be left. */
export async function withToy(
  ops: (kernel: BootedKernel, mine: () => Toy) => Partial<VfioDeviceOps>, body: (c: Client, t: Toy, kernel: BootedKernel) => Promise<void>, iommu = VFIO_TYPE1v2_IOMMU,
): Promise<string[]> {
  const kernel = await boot();
  let made: Toy | null = null;
  await kernel.user(async (proc) => {
    const t = await toy(kernel.k, 'toy0', ops(kernel, () => made as Toy)); // asked for only once it is there
    made = t;
    const c = await Client.open(kernel.k, proc);
    const group = await c.join(t.group);
    await c.setIommu(iommu);
    await c.device(group, 'toy0');
    await body(c, t, kernel);
    await c.close();
    await t.remove();
  });
  return kernel.leftovers();
}
