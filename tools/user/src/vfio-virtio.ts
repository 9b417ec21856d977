/**
 * A modern virtio PCI function over VFIO: registers by the device's file, memory by the container, eventfds for interrupts
 * and doorbells. What a poll-mode driver's bus code is.
 */
import type { UserProcess } from '@vdpalab/lab';
import {
  PCI_CAP_ID_VNDR, PCI_CAP_LIST_NEXT, PCI_CAPABILITY_LIST, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, PROT_READ, PROT_WRITE, VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_IOEVENTFD_16, vfio_device_ioeventfd, VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX, VFIO_TYPE1v2_IOMMU, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG,
  VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_COMMON_DF, VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_GF, VIRTIO_PCI_COMMON_GFSELECT,
  VIRTIO_PCI_COMMON_Q_AVAILLO, VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_ENABLE, VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_PCI_COMMON_Q_NOFF,
  VIRTIO_PCI_COMMON_Q_SELECT, VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_PCI_COMMON_STATUS, virtio_pci_cap, virtio_pci_notify_cap,
} from '@vdpalab/uapi';
import type { VirtioPciCap } from '@vdpalab/uapi';
import { dmaMapFlags } from './dma-map-flags.ts';
import { Scratch } from './scratch.ts';
import { VfioContainerFile, VfioGroupFile, type VfioDeviceFile } from './vfio.ts';
import type { UserVirtioDevice } from './virtio-device.ts';

const PAGE_SIZE = 4096;
const CONFIG = VFIO_PCI_CONFIG_REGION_INDEX;

/** Where a structure of registers is. */
interface Window {
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
}

/** What VFIO gave. */
interface Opened {
  readonly container: VfioContainerFile;
  readonly group: VfioGroupFile;
  readonly device: VfioDeviceFile;
}

/** An open function. */
export class VfioVirtio implements UserVirtioDevice {
  readonly container: VfioContainerFile;
  readonly group: VfioGroupFile;
  readonly device: VfioDeviceFile;
  readonly #scratch: Scratch;
  readonly #common: Window;
  readonly #notify: Window;
  readonly #multiplier: number;
  readonly #config: Window;
  /** Eventfds of vectors, which are on with the first that is set. */
  #calls: number[] | null = null;

  private constructor(opened: Opened, scratch: Scratch, windows: { common: Window; notify: Window; multiplier: number; config: Window }) {
    this.container = opened.container;
    this.group = opened.group;
    this.device = opened.device;
    this.#scratch = scratch;
    this.#common = windows.common;
    this.#notify = windows.notify;
    this.#multiplier = windows.multiplier;
    this.#config = windows.config;
  }

  /**
   * Open a function that vfio-pci has.
   *
   * @param group number of its IOMMU group
   * @param bdf `0000:07:00.2`
   * @throws KernelError the errno of the step that failed; nothing stays open then
   */
  static async open(p: UserProcess, group: number, bdf: string): Promise<VfioVirtio> {
    const files: { close: () => Promise<void> }[] = [];
    try {
      const container = await VfioContainerFile.open(p);
      files.push(container);
      const groupFile = await VfioGroupFile.open(p, group);
      files.push(groupFile);
      await groupFile.setContainer(container.fd);
      await container.setIommu(VFIO_TYPE1v2_IOMMU);
      const device = await groupFile.device(bdf);
      files.push(device);
      const windows = await findWindows(device);
      const command = await device.load(CONFIG, PCI_COMMAND, 2);
      await device.store(CONFIG, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
      return new VfioVirtio({ container, group: groupFile, device }, await Scratch.create(p), windows);
    } catch (error) {
      for (const file of files.toReversed()) await file.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#scratch.free();
    await this.device.close();
    await this.group.close();
    await this.container.close();
  }

  async setOwner(): Promise<void> {}

  async backendFeatures(): Promise<bigint> {
    return 0n;
  }

  async setBackendFeatures(): Promise<void> {}

  status(): Promise<number> {
    return this.#load(VIRTIO_PCI_COMMON_STATUS, 1);
  }

  async setStatus(status: number): Promise<void> {
    await this.#store(VIRTIO_PCI_COMMON_STATUS, 1, status);
  }

  async features(): Promise<bigint> {
    await this.#store(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    const low = await this.#load(VIRTIO_PCI_COMMON_DF, 4);
    await this.#store(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
    return BigInt(low) | (BigInt(await this.#load(VIRTIO_PCI_COMMON_DF, 4)) << 32n);
  }

  async setFeatures(features: bigint): Promise<void> {
    for (const half of [0, 1]) {
      await this.#store(VIRTIO_PCI_COMMON_GFSELECT, 4, half);
      await this.#store(VIRTIO_PCI_COMMON_GF, 4, Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
  }

  async configSize(): Promise<number> {
    return this.#config.length;
  }

  async config(off: number, len: number): Promise<Uint8Array> {
    return await this.device.read(this.#config.bar, this.#config.offset + off, len);
  }

  async vringNum(): Promise<number> {
    await this.#select(0);
    return await this.#load(VIRTIO_PCI_COMMON_Q_SIZE, 2);
  }

  async setVringNum(index: number, num: number): Promise<void> {
    await this.#select(index);
    await this.#store(VIRTIO_PCI_COMMON_Q_SIZE, 2, num);
  }

  /** A function begins at 0. */
  async setVringBase(): Promise<void> {}

  async setVringAddr(index: number, desc: bigint, avail: bigint, used: bigint): Promise<void> {
    await this.#select(index);
    for (const [at, address] of [[VIRTIO_PCI_COMMON_Q_DESCLO, desc], [VIRTIO_PCI_COMMON_Q_AVAILLO, avail], [VIRTIO_PCI_COMMON_Q_USEDLO, used]] as const) {
      await this.#store(at, 4, Number(address & 0xffff_ffffn));
      await this.#store(at + 4, 4, Number(address >> 32n));
    }
  }

  /** The kernel writes the queue's index to its doorbell at each signal. */
  async setVringKick(index: number, fd: number): Promise<void> {
    const offset = BigInt(this.#notify.bar) * (1n << 40n) + BigInt(await this.#doorbell(index));
    await this.#scratch.ioctl(this.device.fd, VFIO_DEVICE_IOEVENTFD, vfio_device_ioeventfd.encode({
      argsz: vfio_device_ioeventfd.size, flags: VFIO_DEVICE_IOEVENTFD_16, offset, data: BigInt(index), fd,
    }));
  }

  async setVringCall(index: number, fd: number): Promise<void> {
    const calls = this.#calls ?? Array.from({ length: (await this.device.irqInfo(VFIO_PCI_MSIX_IRQ_INDEX)).count }, () => -1);
    this.#calls = calls;
    calls[index] = fd;
    await this.device.setTriggers(VFIO_PCI_MSIX_IRQ_INDEX, calls);
    await this.#select(index);
    await this.#store(VIRTIO_PCI_COMMON_Q_MSIX, 2, index);
    if ((await this.#load(VIRTIO_PCI_COMMON_Q_MSIX, 2)) !== index) throw new Error(`queue ${index} takes no vector ${index}`);
  }

  async setVringEnable(index: number, on: boolean): Promise<void> {
    await this.#select(index);
    await this.#store(VIRTIO_PCI_COMMON_Q_ENABLE, 2, on ? 1 : 0);
  }

  async map(iova: bigint, size: bigint, uaddr: bigint, perm: number): Promise<void> {
    await this.container.mapDma(uaddr, iova, size, dmaMapFlags(perm));
  }

  async unmap(iova: bigint, size: bigint): Promise<void> {
    await this.container.unmapDma(iova, size);
  }

  async batchBegin(): Promise<void> {}

  async batchEnd(): Promise<void> {}

  async mapDoorbell(index: number): Promise<number> {
    const at = await this.#doorbell(index);
    return (await this.device.map(this.#notify.bar, at - (at % PAGE_SIZE), PAGE_SIZE, PROT_READ | PROT_WRITE)) + (at % PAGE_SIZE);
  }

  /** Offset of a queue's doorbell in its BAR. */
  async #doorbell(index: number): Promise<number> {
    await this.#select(index);
    return this.#notify.offset + (await this.#load(VIRTIO_PCI_COMMON_Q_NOFF, 2)) * this.#multiplier;
  }

  async #select(index: number): Promise<void> {
    await this.#store(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
  }

  #load(at: number, size: 1 | 2 | 4): Promise<number> {
    return this.device.load(this.#common.bar, this.#common.offset + at, size);
  }

  async #store(at: number, size: 1 | 2 | 4, value: number): Promise<void> {
    await this.device.store(this.#common.bar, this.#common.offset + at, size, value);
  }
}

/** Walk the capability list for virtio's structures. @throws Error when the function is no modern virtio one */
async function findWindows(device: VfioDeviceFile): Promise<{ common: Window; notify: Window; multiplier: number; config: Window }> {
  const found = new Map<number, Window>();
  let multiplier = 0;
  for (let at = await device.load(CONFIG, PCI_CAPABILITY_LIST, 1); at !== 0; at = await device.load(CONFIG, at + PCI_CAP_LIST_NEXT, 1)) {
    if ((await device.load(CONFIG, at, 1)) !== PCI_CAP_ID_VNDR) continue;
    const cap: VirtioPciCap = virtio_pci_cap.decode(await device.read(CONFIG, at, virtio_pci_cap.size));
    if (found.has(cap.cfg_type)) continue;
    found.set(cap.cfg_type, { bar: cap.bar, offset: cap.offset, length: cap.length });
    if (cap.cfg_type === VIRTIO_PCI_CAP_NOTIFY_CFG) {
      multiplier = await device.load(CONFIG, at + virtio_pci_notify_cap.offsetof('notify_off_multiplier'), 4);
    }
  }
  const window = (type: number): Window => {
    const one = found.get(type);
    if (one === undefined) throw new Error(`the function has no virtio structure of type ${type}`);
    return one;
  };
  return { common: window(VIRTIO_PCI_CAP_COMMON_CFG), notify: window(VIRTIO_PCI_CAP_NOTIFY_CFG), config: window(VIRTIO_PCI_CAP_DEVICE_CFG), multiplier };
}
