/**
 * A copy engine, as a vendor's mediated device: it knows nothing of how it is registered.
 *
 * BAR 0 is registers: 0x00 "TOY1", 0x04 result of the last command (0, or an errno), 0x08 source and 0x10 destination as
 * bus addresses, 0x18 length, 0x1c command (1 pin the source, 2 copy, 3 unpin the source), 0x20 pages pinned, 0x24 pages
 * lost to unmaps. BAR 2 is a page of memory that can be mapped. It reaches what was pinned and nothing else.
 */
import { KernelError, isKernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { PageRun, VmArea } from '@vdpalab/mm';
import {
  ERRNO, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET,
  VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_device_info, vfio_region_info,
} from '@vdpalab/uapi';

const PAGE_SIZE = 4096;
const OFFSET_OF = 2 ** 40;
const REGIONS = 3;
const REGISTERS = 0x28;
const REG = { id: 0x00, status: 0x04, source: 0x08, destination: 0x10, length: 0x18, command: 0x1c, pinned: 0x20, lost: 0x24 } as const;
const READ_ONLY: readonly number[] = [REG.id, REG.status, REG.pinned, REG.lost];
const ID = 0x3159_4f54; // "TOY1"

/** How a surface pins. */
export interface Pinning {
  /** @param iova page-aligned @returns physical addresses */
  readonly pin: (iova: number, npage: number) => Promise<readonly number[]>;
  readonly unpin: (iova: number, npage: number) => Promise<void>;
}

/** One device. */
export class ToyEngine {
  readonly #k: Pick<KernelSymbols, 'phys_view' | 'free_pages'>;
  readonly #pinning: Pinning | null;
  readonly #regs = new DataView(new ArrayBuffer(REGISTERS));
  readonly #memory: PageRun;
  /** Physical address by bus address of a page. */
  readonly #pins = new Map<number, number>();
  #open = false;
  #unplugged = false;

  /** @param pinning null for a device without DMA @throws ENOMEM */
  constructor(k: Pick<KernelSymbols, 'alloc_pages' | 'phys_view' | 'free_pages'>, pinning: Pinning | null) {
    this.#k = k;
    this.#pinning = pinning;
    this.#memory = k.alloc_pages(1);
    this.#reset();
  }

  get isOpen(): boolean {
    return this.#open;
  }

  open(): void {
    this.#open = true;
  }

  /** The last user has gone. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#unpinAll();
    this.#reset();
    if (this.#unplugged) this.#k.free_pages(this.#memory);
  }

  /** Give all back, when nobody has it open any more. */
  unplug(): void {
    this.#unplugged = true;
    if (!this.#open) this.#k.free_pages(this.#memory);
  }

  /** @throws EFAULT outside of the regions */
  read(len: number, pos: number): Uint8Array {
    const { region, at } = this.#at(pos, len);
    if (region === 2) return this.#k.phys_view(this.#memory.pa + at, len).slice();
    this.#regs.setUint32(REG.pinned, this.#pins.size, true);
    return new Uint8Array(this.#regs.buffer.slice(at, at + len));
  }

  /** @throws EFAULT outside of the regions */
  async write(bytes: Uint8Array, pos: number): Promise<number> {
    const { region, at } = this.#at(pos, bytes.length);
    if (region === 2) {
      this.#k.phys_view(this.#memory.pa + at, bytes.length).set(bytes);
    } else if (!READ_ONLY.includes(at)) {
      new Uint8Array(this.#regs.buffer).set(bytes, at);
      if (at === REG.command) await this.#command();
    }
    return bytes.length;
  }

  /** @throws EINVAL elsewhere than BAR 2 */
  mmap(vma: VmArea): void {
    if (vma.pgoff !== (2 * OFFSET_OF) / PAGE_SIZE || vma.end - vma.start !== PAGE_SIZE) throw new KernelError('EINVAL', 'toy.mmap', 'one page, at BAR 2');
    vma.backing = { kind: 'pages', runs: [this.#memory] };
  }

  /** @throws ENOTTY for an ioctl it does not know */
  async ioctl(cmd: number, arg: number, { mm }: Process): Promise<number> {
    switch (cmd) {
      case VFIO_DEVICE_GET_INFO:
        mm.write(arg, vfio_device_info.encode({ argsz: vfio_device_info.size, flags: VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, num_regions: REGIONS }));
        return 0;
      case VFIO_DEVICE_GET_REGION_INFO: {
        const info = vfio_region_info.decode(mm.read(arg, vfio_region_info.size));
        if (info.index >= REGIONS) throw new KernelError('EINVAL', 'toy.region', `region ${info.index} of ${REGIONS}`);
        const rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
        mm.write(arg, vfio_region_info.encode({
          ...info, offset: BigInt(info.index * OFFSET_OF), size: BigInt([REGISTERS, 0, PAGE_SIZE][info.index]!), // an index below REGIONS
          flags: [rw, 0, rw | VFIO_REGION_INFO_FLAG_MMAP][info.index]!,
        }));
        return 0;
      }
      case VFIO_DEVICE_RESET:
        await this.#unpinAll();
        this.#reset();
        return 0;
      default: throw new KernelError('ENOTTY', 'toy.ioctl', `no ioctl ${cmd}`);
    }
  }

  /** Pages of the user go: let go of those that are pinned. */
  async dmaUnmap(iova: number, length: number): Promise<void> {
    for (const page of [...this.#pins.keys()]) {
      if (page < iova || page >= iova + length) continue;
      this.#pins.delete(page);
      this.#regs.setUint32(REG.lost, this.#regs.getUint32(REG.lost, true) + 1, true);
      await this.#pinning?.unpin(page, 1);
    }
  }

  #at(pos: number, len: number): { region: 0 | 2; at: number } {
    const region = Math.floor(pos / OFFSET_OF);
    const at = pos % OFFSET_OF;
    if ((region !== 0 || at + len > REGISTERS) && (region !== 2 || at + len > PAGE_SIZE)) throw new KernelError('EFAULT', 'toy.access', `region ${region} at ${at}`);
    return { region: region === 0 ? 0 : 2, at };
  }

  #reset(): void {
    new Uint8Array(this.#regs.buffer).fill(0);
    this.#regs.setUint32(REG.id, ID, true);
    this.#k.phys_view(this.#memory.pa, PAGE_SIZE).fill(0);
  }

  async #unpinAll(): Promise<void> {
    for (const page of this.#pins.keys()) await this.#pinning?.unpin(page, 1);
    this.#pins.clear();
  }

  async #command(): Promise<void> {
    const address = (reg: number): number => Number(this.#regs.getBigUint64(reg, true));
    const [source, destination, length] = [address(REG.source), address(REG.destination), this.#regs.getUint32(REG.length, true)];
    let status = 0;
    try {
      const command = this.#regs.getUint32(REG.command, true);
      if (command === 1) await this.#pin(source, length);
      else if (command === 2) this.#copy(source, destination, length);
      else if (command === 3) await this.#unpin(source, length);
      else throw new KernelError('EINVAL', 'toy.command', `no command ${command}`);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      status = ERRNO[error.errno];
    }
    this.#regs.setUint32(REG.status, status, true);
  }

  async #pin(iova: number, length: number): Promise<void> {
    if (this.#pinning === null) throw new KernelError('EOPNOTSUPP', 'toy.pin.none', 'the device has no DMA');
    const npage = Math.ceil(length / PAGE_SIZE);
    const pages = await this.#pinning.pin(iova, npage);
    for (const [n, pa] of pages.entries()) this.#pins.set(iova + n * PAGE_SIZE, pa);
  }

  async #unpin(iova: number, length: number): Promise<void> {
    for (let page = iova; page < iova + length; page += PAGE_SIZE) {
      if (!this.#pins.delete(page)) throw new KernelError('EINVAL', 'toy.unpin', `page ${page} is not pinned`);
      await this.#pinning?.unpin(page, 1);
    }
  }

  /** @throws EFAULT where a page is not pinned; nothing is copied then */
  #copy(source: number, destination: number, length: number): void {
    const pieces = (iova: number): Uint8Array[] => {
      const views: Uint8Array[] = [];
      for (let at = iova; at < iova + length;) {
        const page = at - (at % PAGE_SIZE);
        const pa = this.#pins.get(page);
        if (pa === undefined) throw new KernelError('EFAULT', 'toy.copy', `page ${page} is not pinned`);
        const n = Math.min(page + PAGE_SIZE, iova + length) - at;
        views.push(this.#k.phys_view(pa + at - page, n));
        at += n;
      }
      return views;
    };
    const to = pieces(destination);
    const bytes = Uint8Array.from(pieces(source).flatMap((view) => [...view]));
    let done = 0;
    for (const view of to) {
      view.set(bytes.subarray(done, done + view.length));
      done += view.length;
    }
  }
}
