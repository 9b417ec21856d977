/** VFIO as a program uses it: a container, a group, a device; one method per ioctl. */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_SHARED, O_RDWR, VFIO_CHECK_EXTENSION, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS, vfio_device_info, VFIO_GET_API_VERSION, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER, vfio_group_status, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap, vfio_irq_info, vfio_irq_set, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
  vfio_region_info, VFIO_SET_IOMMU,
} from '@vdpalab/uapi';
import type { VfioDeviceInfo, VfioIrqInfo, VfioRegionInfo } from '@vdpalab/uapi';
import { DeviceFile } from './device-file.ts';
import { Scratch } from './scratch.ts';

/** Bytes for an info struct and the capabilities behind it. */
const INFO_ROOM = 512;

/** What an ioctl with a growing argument gave: the struct's bytes and all behind them. */
async function infoBytes(scratch: Scratch, fd: number, cmd: number, head: Uint8Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(INFO_ROOM);
  bytes.set(head);
  return await scratch.ioctl(fd, cmd, bytes);
}

/** An open /dev/vfio/vfio. */
export class VfioContainerFile extends DeviceFile {
  static async open(p: UserProcess): Promise<VfioContainerFile> {
    const fd = await p.open('/dev/vfio/vfio', O_RDWR);
    return new VfioContainerFile(p, fd, await Scratch.create(p));
  }

  apiVersion(): Promise<number> {
    return this.p.ioctl(this.fd, VFIO_GET_API_VERSION);
  }

  /** @returns 0 for no */
  checkExtension(extension: number): Promise<number> {
    return this.p.ioctl(this.fd, VFIO_CHECK_EXTENSION, extension);
  }

  async setIommu(type: number): Promise<void> {
    await this.p.ioctl(this.fd, VFIO_SET_IOMMU, type);
  }

  /** Struct vfio_iommu_type1_info and its capabilities. */
  iommuInfo(): Promise<Uint8Array> {
    return infoBytes(this.scratch, this.fd, VFIO_IOMMU_GET_INFO, Uint8Array.of(INFO_ROOM & 0xff, INFO_ROOM >> 8, 0, 0));
  }

  /** @param flags VFIO_DMA_MAP_FLAG_* */
  async mapDma(vaddr: bigint, iova: bigint, size: bigint, flags: number): Promise<void> {
    const { size: argsz } = vfio_iommu_type1_dma_map;
    await this.scratch.ioctl(this.fd, VFIO_IOMMU_MAP_DMA, vfio_iommu_type1_dma_map.encode({ argsz, flags, vaddr, iova, size }));
  }

  /** @returns bytes unmapped. @param flags VFIO_DMA_UNMAP_FLAG_* */
  async unmapDma(iova: bigint, size: bigint, flags = 0): Promise<bigint> {
    const { size: argsz } = vfio_iommu_type1_dma_unmap;
    const bytes = await this.scratch.ioctl(this.fd, VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_unmap.encode({ argsz, flags, iova, size }));
    return vfio_iommu_type1_dma_unmap.decode(bytes).size;
  }
}

/** An open /dev/vfio/N. */
export class VfioGroupFile extends DeviceFile {
  /** @throws EBUSY when somebody has it, or a device of it, open */
  static async open(p: UserProcess, group: number | string): Promise<VfioGroupFile> {
    const fd = await p.open(`/dev/vfio/${group}`, O_RDWR);
    return new VfioGroupFile(p, fd, await Scratch.create(p));
  }

  /** VFIO_GROUP_FLAGS_* */
  async status(): Promise<number> {
    const { size } = vfio_group_status;
    const bytes = await this.scratch.ioctl(this.fd, VFIO_GROUP_GET_STATUS, vfio_group_status.encode({ argsz: size }));
    return vfio_group_status.decode(bytes).flags;
  }

  /** @param fd of a container */
  async setContainer(fd: number): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, fd, true);
    await this.scratch.ioctl(this.fd, VFIO_GROUP_SET_CONTAINER, bytes);
  }

  async unsetContainer(): Promise<void> {
    await this.p.ioctl(this.fd, VFIO_GROUP_UNSET_CONTAINER);
  }

  /** @param name of the device on its bus, with options behind it */
  async device(name: string): Promise<VfioDeviceFile> {
    const { value } = await this.scratch.call(this.fd, VFIO_GROUP_GET_DEVICE_FD, new TextEncoder().encode(`${name}\0`));
    return await VfioDeviceFile.of(this.p, value);
  }
}

/** An open device. */
export class VfioDeviceFile extends DeviceFile {
  /** Around a descriptor that VFIO_GROUP_GET_DEVICE_FD gave. */
  static async of(p: UserProcess, fd: number): Promise<VfioDeviceFile> {
    return new VfioDeviceFile(p, fd, await Scratch.create(p));
  }

  async info(): Promise<VfioDeviceInfo> {
    const { size: argsz } = vfio_device_info;
    return vfio_device_info.decode(await this.scratch.ioctl(this.fd, VFIO_DEVICE_GET_INFO, vfio_device_info.encode({ argsz })));
  }

  async regionInfo(index: number): Promise<VfioRegionInfo> {
    return vfio_region_info.decode(await this.regionInfoBytes(index));
  }

  /** Struct vfio_region_info and its capabilities. */
  regionInfoBytes(index: number): Promise<Uint8Array> {
    return infoBytes(this.scratch, this.fd, VFIO_DEVICE_GET_REGION_INFO, vfio_region_info.encode({ argsz: INFO_ROOM, index }));
  }

  async irqInfo(index: number): Promise<VfioIrqInfo> {
    const { size: argsz } = vfio_irq_info;
    return vfio_irq_info.decode(await this.scratch.ioctl(this.fd, VFIO_DEVICE_GET_IRQ_INFO, vfio_irq_info.encode({ argsz, index })));
  }

  /**
   * VFIO_DEVICE_SET_IRQS.
   *
   * @param flags VFIO_IRQ_SET_*
   * @param data what follows the struct
   * @returns what the ioctl did: above 0 when there are only so many vectors
   */
  async setIrqs(index: number, start: number, count: number, flags: number, data: Uint8Array = new Uint8Array(0)): Promise<number> {
    const bytes = new Uint8Array(vfio_irq_set.size + data.length);
    bytes.set(vfio_irq_set.encode({ argsz: bytes.length, flags, index, start, count }));
    bytes.set(data, vfio_irq_set.size);
    return (await this.scratch.call(this.fd, VFIO_DEVICE_SET_IRQS, bytes)).value;
  }

  /** Have vectors from 0 on signal eventfds; -1 for none. */
  async setTriggers(index: number, fds: readonly number[]): Promise<number> {
    const data = new Uint8Array(4 * fds.length);
    fds.forEach((fd, i) => new DataView(data.buffer).setInt32(4 * i, fd, true));
    return await this.setIrqs(index, 0, fds.length, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, data);
  }

  /** Switch interrupts of an index off. */
  async disableIrqs(index: number): Promise<void> {
    await this.setIrqs(index, 0, 0, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
  }

  async reset(): Promise<void> {
    await this.p.ioctl(this.fd, VFIO_DEVICE_RESET);
  }

  /** Bytes of a region. */
  async read(region: number, offset: number, len: number): Promise<Uint8Array> {
    return await this.p.pread(this.fd, len, region * 2 ** 40 + offset);
  }

  /** @returns bytes taken */
  async write(region: number, offset: number, bytes: Uint8Array): Promise<number> {
    return await this.p.pwrite(this.fd, bytes, region * 2 ** 40 + offset);
  }

  /** A register. */
  async load(region: number, offset: number, size: 1 | 2 | 4): Promise<number> {
    const bytes = await this.read(region, offset, size);
    return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  async store(region: number, offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    await this.write(region, offset, Uint8Array.from({ length: size }, (_, i) => value >>> (8 * i)));
  }

  /** Map part of a region. @param prot PROT_* @returns its address */
  map(region: number, offset: number, len: number, prot: number): Promise<number> {
    return this.p.mmap(len, prot, MAP_SHARED, this.fd, region * 2 ** 40 + offset);
  }
}
