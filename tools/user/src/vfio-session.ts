/** VFIO devices as one user has them: a container, the groups and devices in it, and memory for them to reach. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_TYPE1v2_IOMMU,
} from '@vdpalab/uapi';
import { unmapDirty } from './vfio-dirty.ts';
import { VfioContainerFile, VfioGroupFile, type VfioDeviceFile } from './vfio.ts';

const PAGE_SIZE = 4096;

/** A device that is open. */
export interface OpenVfioDevice {
  /** As its bus names it. */
  readonly name: string;
  readonly file: VfioDeviceFile;
}

/** One container with its groups and devices. */
export class VfioSession {
  readonly #p: UserProcess;
  readonly container: VfioContainerFile;
  readonly #groups = new Map<string, VfioGroupFile>();
  readonly #devices: OpenVfioDevice[] = [];
  /** Memory given to the devices, by bus address. */
  readonly #memory = new Map<number, { readonly va: number; readonly size: number }>();

  private constructor(p: UserProcess, container: VfioContainerFile) {
    this.#p = p;
    this.container = container;
  }

  /**
   * Open devices of any groups in one container with a type 1 IOMMU. What fails leaves nothing open.
   *
   * @param names as /sys/bus/{mdev,vdpa,pci}/devices have them
   * @throws ENOENT for a device that is on none of these buses, or in no group; EBUSY when another process has a group
   */
  static async open(p: UserProcess, names: readonly string[]): Promise<VfioSession> {
    const session = new VfioSession(p, await VfioContainerFile.open(p));
    try {
      for (const name of names) await session.add(name);
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  /** Open one more device. */
  async add(name: string): Promise<OpenVfioDevice> {
    const group = await this.#group(await groupOf(this.#p, name));
    const device = { name, file: await group.device(name) };
    this.#devices.push(device);
    return device;
  }

  /** Devices in the order of opening. */
  get devices(): readonly OpenVfioDevice[] {
    return this.#devices;
  }

  /** Read a region, wherever it begins in the device's file. @param at in the region, bytes */
  async read({ file }: OpenVfioDevice, region: number, at: number, len: number): Promise<Uint8Array> {
    const { offset } = await file.regionInfo(region);
    return await this.#p.pread(file.fd, len, Number(offset) + at);
  }

  /** Write to a region. @returns bytes taken */
  async write({ file }: OpenVfioDevice, region: number, at: number, bytes: Uint8Array): Promise<number> {
    const { offset } = await file.regionInfo(region);
    return await this.#p.pwrite(file.fd, bytes, Number(offset) + at);
  }

  /** Look at a region through a mapping, which begins where the region does. @throws EINVAL for a region that cannot be mapped */
  async mapped<T>({ file }: OpenVfioDevice, region: number, at: number, len: number, body: (va: number) => T): Promise<T> {
    const { offset } = await file.regionInfo(region);
    const size = Math.ceil((at + len) / PAGE_SIZE) * PAGE_SIZE;
    const va = await this.#p.mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, Number(offset));
    try {
      return body(va + at);
    } finally {
      await this.#p.munmap(va, size);
    }
  }

  /** Give the devices zeroed memory. @param iova, size bytes, whole pages @returns where the process has it */
  async dmaMap(iova: number, size: number): Promise<number> {
    const va = await this.#p.mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    try {
      await this.container.mapDma(BigInt(va), BigInt(iova), BigInt(size), VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
    } catch (error) {
      await this.#p.munmap(va, size);
      throw error;
    }
    this.#memory.set(iova, { va, size });
    return va;
  }

  /** Take it back. @returns bytes that were mapped */
  async dmaUnmap(iova: number, size: number): Promise<number> {
    const unmapped = await this.container.unmapDma(BigInt(iova), BigInt(size));
    await this.#forget(iova, size);
    return Number(unmapped);
  }

  /** {@link dmaUnmap}, with the dirty pages of what goes, a bit each. */
  async dmaUnmapDirty(iova: number, size: number): Promise<{ readonly unmapped: bigint; readonly bits: Uint8Array }> {
    const gone = await unmapDirty(this.#p, this.container.fd, BigInt(iova), BigInt(size));
    await this.#forget(iova, size);
    return gone;
  }

  /** Memory of a range is the devices' no more. */
  async #forget(iova: number, size: number): Promise<void> {
    for (const [at, { va, size: bytes }] of [...this.#memory]) {
      if (at < iova || at + bytes > iova + size) continue;
      await this.#p.munmap(va, bytes);
      this.#memory.delete(at);
    }
  }

  /** Where the process has what the devices see at `iova`; `null` where it gave nothing. */
  address(iova: number): number | null {
    for (const [at, { va, size }] of this.#memory) if (iova >= at && iova < at + size) return va + iova - at;
    return null;
  }

  async closeDevice(device: OpenVfioDevice): Promise<void> {
    this.#devices.splice(this.#devices.indexOf(device), 1);
    await device.file.close();
  }

  /** Close all: devices, groups, the container. */
  async close(): Promise<void> {
    for (const device of [...this.#devices]) await this.closeDevice(device);
    for (const group of this.#groups.values()) await group.close();
    await this.container.close();
    for (const { va, size } of this.#memory.values()) await this.#p.munmap(va, size);
  }

  /** The group's file, in the container; the first group gives the container its IOMMU. */
  async #group(number: string): Promise<VfioGroupFile> {
    const open = this.#groups.get(number);
    if (open !== undefined) return open;
    const group = await VfioGroupFile.open(this.#p, number);
    this.#groups.set(number, group);
    await group.setContainer(this.container.fd);
    if (this.#groups.size === 1) await this.container.setIommu(VFIO_TYPE1v2_IOMMU);
    return group;
  }
}

/** Number of a device's group. */
async function groupOf(p: UserProcess, name: string): Promise<string> {
  const bus = (await isOn(p, 'mdev', name)) ? 'mdev' : (await isOn(p, 'vdpa', name)) ? 'vdpa' : 'pci';
  return (await p.readlink(`/sys/bus/${bus}/devices/${name}/iommu_group`)).split('/').at(-1) as string; // a link has a last part
}

async function isOn(p: UserProcess, bus: string, name: string): Promise<boolean> {
  try {
    await p.lstat(`/sys/bus/${bus}/devices/${name}`);
    return true;
  } catch (error) {
    if (isKernelError(error)) return false;
    throw error;
  }
}
