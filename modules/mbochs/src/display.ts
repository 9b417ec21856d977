/** A Bochs display as VFIO's user sees it. Mirrors `samples/vfio-mdev/mbochs.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { PageRun, VmArea } from '@vdpalab/mm';
import {
  MAP_SHARED, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_CAP_TYPE, VFIO_REGION_INFO_FLAG_CAPS, VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE, VFIO_REGION_SUBTYPE_GFX_EDID, VFIO_REGION_TYPE_GFX, vfio_device_info, vfio_irq_info, vfio_region_info,
  vfio_region_info_cap_type,
} from '@vdpalab/uapi';
import { MBOCHS_CONFIG_SPACE_SIZE, MbochsConfig } from './config-space.ts';
import { MbochsRegisters } from './registers.ts';

const PAGE_SIZE = 4096;
/** Where the regions begin in the device's file: registers, EDID, memory, each after the other. */
const MBOCHS_MMIO_BAR_OFFSET = PAGE_SIZE;
const MBOCHS_EDID_OFFSET = 2 * PAGE_SIZE;
const MBOCHS_MEMORY_BAR_OFFSET = 3 * PAGE_SIZE;
const MBOCHS_EDID_REGION_INDEX = VFIO_PCI_NUM_REGIONS;
const MBOCHS_NUM_REGIONS = MBOCHS_EDID_REGION_INDEX + 1;
const RW = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

/** One mediated device. Its video memory gets pages as they are touched. */
export class MbochsDisplay {
  readonly #k: Pick<KernelSymbols, 'alloc_pages' | 'phys_view' | 'free_pages'>;
  readonly #memsize: number;
  readonly #config: MbochsConfig;
  readonly #pages = new Map<number, PageRun>();
  readonly registers: MbochsRegisters;

  /** @param memsize video memory, bytes @param info the kernel log, with the device's name */
  constructor(k: Pick<KernelSymbols, 'alloc_pages' | 'phys_view' | 'free_pages'>, memsize: number, max: { readonly x: number; readonly y: number }, info: (text: string) => void) {
    this.#k = k;
    this.#memsize = memsize;
    this.#config = new MbochsConfig(memsize, PAGE_SIZE, info);
    this.registers = new MbochsRegisters(memsize, max.x, max.y);
  }

  /** Give all pages back. */
  release(): void {
    for (const run of this.#pages.values()) this.#k.free_pages(run);
    this.#pages.clear();
  }

  /** Pages of video memory that were touched. */
  get resident(): number {
    return this.#pages.size;
  }

  /** Read from the device's file; registers in pieces as large as they are aligned, up to 4. @throws EFAULT outside of the regions, and without memory */
  read(len: number, pos: number): Uint8Array {
    const out = new Uint8Array(len);
    if (pos >= MBOCHS_MEMORY_BAR_OFFSET) this.#eachPage(pos, len, (page, at) => out.set(page, at - pos));
    else for (const { at, size } of pieces(pos, len)) out.set(this.#readPiece(at, size), at - pos);
    return out;
  }

  /** Write to the device's file, likewise. @returns bytes taken: all @throws EFAULT */
  write(bytes: Uint8Array, pos: number): number {
    const part = (at: number, size: number): Uint8Array => bytes.subarray(at - pos, at - pos + size);
    if (pos >= MBOCHS_MEMORY_BAR_OFFSET) this.#eachPage(pos, bytes.length, (page, at) => page.set(part(at, page.length)));
    else for (const { at, size } of pieces(pos, bytes.length)) this.#writePiece(at, part(at, size));
    return bytes.length;
  }

  /** Show the video memory to a process; pages come as they are touched. @throws EINVAL elsewhere, for more than there is, and for a private mapping */
  mmap(vma: VmArea): void {
    const len = vma.end - vma.start;
    if (vma.pgoff !== MBOCHS_MEMORY_BAR_OFFSET / PAGE_SIZE || len > this.#memsize || (vma.flags & MAP_SHARED) === 0) {
      throw new KernelError('EINVAL', 'mbochs.mmap', `page ${vma.pgoff}, ${len} bytes: the memory is ${this.#memsize} bytes at page 3, to be shared`);
    }
    vma.backing = { kind: 'fault', fault: (pgoff) => this.#page(pgoff - MBOCHS_MEMORY_BAR_OFFSET / PAGE_SIZE) };
  }

  /** @throws EFAULT for a bad address; EINVAL for a struct that is too short, what is not there; ENOTTY */
  ioctl(cmd: number, arg: number, { mm }: Process): number {
    switch (cmd) {
      case VFIO_DEVICE_GET_INFO: {
        const size = vfio_device_info.offsetof('cap_offset');
        const argsz = argszOf(mm.read(arg, size), size);
        mm.write(arg, vfio_device_info.encode({ argsz, flags: VFIO_DEVICE_FLAGS_PCI, num_regions: MBOCHS_NUM_REGIONS, num_irqs: VFIO_PCI_NUM_IRQS }).subarray(0, size));
        return 0;
      }
      case VFIO_DEVICE_GET_REGION_INFO: return this.#regionInfo(arg, mm);
      case VFIO_DEVICE_GET_IRQ_INFO: {
        const bytes = mm.read(arg, vfio_irq_info.size);
        argszOf(bytes, bytes.length);
        const info = vfio_irq_info.decode(bytes);
        if (info.index >= VFIO_PCI_NUM_IRQS) throw new KernelError('EINVAL', 'mbochs.irq.index', `interrupts ${info.index} of ${VFIO_PCI_NUM_IRQS}`);
        mm.write(arg, vfio_irq_info.encode({ ...info, count: 0 }));
        return 0;
      }
      case VFIO_DEVICE_SET_IRQS: throw new KernelError('EINVAL', 'mbochs.irq.none', 'the display has no interrupts');
      case VFIO_DEVICE_RESET:
        this.registers.reset();
        return 0;
      default: throw new KernelError('ENOTTY', 'mbochs.ioctl.unknown', `no ioctl 0x${cmd.toString(16)}`);
    }
  }

  /** The EDID region says what it is in a capability behind the struct, where the caller's has room. */
  #regionInfo(arg: number, mm: Process['mm']): number {
    const bytes = mm.read(arg, vfio_region_info.size);
    const given = argszOf(bytes, bytes.length);
    const info = vfio_region_info.decode(bytes);
    if (info.index !== MBOCHS_EDID_REGION_INDEX) {
      mm.write(arg, vfio_region_info.encode({ ...info, ...this.#region(info.index) }));
      return 0;
    }
    const whole = vfio_region_info.size + vfio_region_info_cap_type.size;
    const full = given >= whole;
    mm.write(arg, vfio_region_info.encode({
      ...info, argsz: full ? given : whole, flags: RW | VFIO_REGION_INFO_FLAG_CAPS, size: BigInt(PAGE_SIZE), offset: BigInt(MBOCHS_EDID_OFFSET),
      cap_offset: full ? vfio_region_info.size : 0,
    }));
    if (full) {
      mm.write(arg + vfio_region_info.size, vfio_region_info_cap_type.encode({
        header: { id: VFIO_REGION_INFO_CAP_TYPE, version: 1, next: 0 }, type: VFIO_REGION_TYPE_GFX, subtype: VFIO_REGION_SUBTYPE_GFX_EDID,
      }));
    }
    return 0;
  }

  /** @throws EINVAL for an unknown region */
  #region(index: number): { flags: number; size: bigint; offset: bigint } {
    if (index >= MBOCHS_NUM_REGIONS) throw new KernelError('EINVAL', 'mbochs.region.index', `region ${index} of ${MBOCHS_NUM_REGIONS}`);
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) return { flags: RW, size: BigInt(MBOCHS_CONFIG_SPACE_SIZE), offset: 0n };
    if (index === VFIO_PCI_BAR0_REGION_INDEX) return { flags: RW | VFIO_REGION_INFO_FLAG_MMAP, size: BigInt(this.#memsize), offset: BigInt(MBOCHS_MEMORY_BAR_OFFSET) };
    if (index === VFIO_PCI_BAR2_REGION_INDEX) return { flags: RW, size: BigInt(PAGE_SIZE), offset: BigInt(MBOCHS_MMIO_BAR_OFFSET) };
    return { flags: 0, size: 0n, offset: 0n };
  }

  #readPiece(pos: number, len: number): Uint8Array {
    if (pos >= MBOCHS_EDID_OFFSET) return this.registers.readEdid(pos - MBOCHS_EDID_OFFSET, len);
    if (pos >= MBOCHS_MMIO_BAR_OFFSET) return this.registers.readMmio(pos - MBOCHS_MMIO_BAR_OFFSET, len);
    const bytes = this.#config.read(pos, len);
    if (bytes === null) throw outside(pos, len);
    return bytes;
  }

  #writePiece(pos: number, bytes: Uint8Array): void {
    if (pos >= MBOCHS_EDID_OFFSET) this.registers.writeEdid(pos - MBOCHS_EDID_OFFSET, bytes);
    else if (pos >= MBOCHS_MMIO_BAR_OFFSET) this.registers.writeMmio(pos - MBOCHS_MMIO_BAR_OFFSET, bytes);
    else if (!this.#config.write(pos, bytes)) throw outside(pos, bytes.length);
  }

  /** Physical address of a page of video memory; null beyond it, and when there is no memory for it. */
  #page(n: number): number | null {
    if (n < 0 || n >= this.#memsize / PAGE_SIZE) return null;
    let run = this.#pages.get(n);
    if (run === undefined) {
      try {
        run = this.#k.alloc_pages(1);
      } catch (error) {
        if (isKernelError(error)) return null;
        throw error;
      }
      this.#pages.set(n, run);
    }
    return run.pa;
  }

  /** Walk a range of video memory by pages. @throws EFAULT when a byte lies outside, or has no page */
  #eachPage(pos: number, len: number, body: (view: Uint8Array, at: number) => void): void {
    const end = pos + len;
    if (end > MBOCHS_MEMORY_BAR_OFFSET + this.#memsize) throw outside(pos, len);
    for (let at = pos; at < end;) {
      const size = Math.min(end - at, PAGE_SIZE - (at % PAGE_SIZE));
      const pa = this.#page(Math.floor((at - MBOCHS_MEMORY_BAR_OFFSET) / PAGE_SIZE));
      if (pa === null) throw outside(at, size);
      body(this.#k.phys_view(pa + (at % PAGE_SIZE), size), at);
      at += size;
    }
  }
}

function outside(pos: number, len: number): KernelError {
  return new KernelError('EFAULT', 'mbochs.access.outside', `${len} bytes at 0x${pos.toString(16)}: in no region`);
}

/** @throws EINVAL when the caller's struct is shorter than `size` */
function argszOf(bytes: Uint8Array, size: number): number {
  const argsz = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (argsz < size) throw new KernelError('EINVAL', 'mbochs.ioctl.argsz', `argsz ${argsz}, at least ${size}`);
  return argsz;
}

/** A range below the video memory cut into aligned pieces of 4, 2 and 1 bytes. @throws EFAULT when it reaches into it */
function* pieces(pos: number, len: number): Generator<{ at: number; size: number }> {
  const end = pos + len;
  if (end > MBOCHS_MEMORY_BAR_OFFSET) throw outside(pos, len);
  for (let at = pos; at < end;) {
    const size = end - at >= 4 && at % 4 === 0 ? 4 : end - at >= 2 && at % 2 === 0 ? 2 : 1;
    yield { at, size };
    at += size;
  }
}
