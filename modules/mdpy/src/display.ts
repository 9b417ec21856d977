/** A PCI display with a framebuffer and nothing else, as VFIO's user sees it. Mirrors `samples/vfio-mdev/mdpy.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { PageRun, VmArea } from '@vdpalab/mm';
import {
  MAP_SHARED, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_QUERY_GFX_PLANE, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS, VFIO_GFX_PLANE_TYPE_PROBE, VFIO_GFX_PLANE_TYPE_REGION,
  VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_device_gfx_plane_info, vfio_device_info, vfio_irq_info, vfio_region_info,
} from '@vdpalab/uapi';
import { MDPY_CONFIG_SPACE_SIZE, MdpyConfig } from './config-space.ts';

/** A kind of display. */
export interface MdpyMode {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

const PAGE_SIZE = 4096;
/** Where the framebuffer begins in the device's file. */
const MDPY_MEMORY_BAR_OFFSET = PAGE_SIZE;
/** The framebuffer again, for VFIO_DEVICE_QUERY_GFX_PLANE. */
const MDPY_DISPLAY_REGION = 16;
/** 'XR24' */
export const DRM_FORMAT_XRGB8888 = 0x3432_5258;
const BYTES_PER_PIXEL = 4;

/** One mediated device. */
export class MdpyDisplay {
  readonly #k: Pick<KernelSymbols, 'phys_view' | 'free_pages'>;
  readonly #mode: MdpyMode;
  readonly #config: MdpyConfig;
  readonly #memory: PageRun;

  /**
   * @param info the kernel log, with the device's name
   * @throws ENOMEM
   */
  constructor(k: Pick<KernelSymbols, 'alloc_pages' | 'phys_view' | 'free_pages'>, mode: MdpyMode, info: (text: string) => void) {
    this.#k = k;
    this.#mode = mode;
    this.#memory = k.alloc_pages(2 ** Math.ceil(Math.log2(mode.width * mode.height * BYTES_PER_PIXEL)) / PAGE_SIZE);
    this.#config = new MdpyConfig(this.#size, mode, DRM_FORMAT_XRGB8888, info);
    this.#reset();
  }

  /** Give the framebuffer back. */
  release(): void {
    this.#k.free_pages(this.#memory);
  }

  /** @throws EFAULT outside of the regions */
  read(len: number, pos: number): Uint8Array {
    return this.#config.read(pos, len) ?? this.#view(pos, len).slice();
  }

  /** @returns bytes taken: all @throws EFAULT */
  write(bytes: Uint8Array, pos: number): number {
    if (!this.#config.write(pos, bytes)) this.#view(pos, bytes.length).set(bytes);
    return bytes.length;
  }

  /** Show the framebuffer's pages to a process. @throws EINVAL elsewhere, for more than there is, and for a private mapping */
  mmap(vma: VmArea): void {
    const len = vma.end - vma.start;
    if (vma.pgoff !== MDPY_MEMORY_BAR_OFFSET / PAGE_SIZE || len > this.#size || (vma.flags & MAP_SHARED) === 0) {
      throw new KernelError('EINVAL', 'mdpy.mmap', `page ${vma.pgoff}, ${len} bytes: the framebuffer is ${this.#size} bytes at page 1, to be shared`);
    }
    vma.backing = { kind: 'pages', runs: [{ pa: this.#memory.pa, pages: Math.ceil(len / PAGE_SIZE) }] };
  }

  /** @throws EFAULT for a bad address; EINVAL for a struct that is too short, what is not there; ENOTTY */
  ioctl(cmd: number, arg: number, proc: Process): number {
    const { mm } = proc;
    switch (cmd) {
      case VFIO_DEVICE_GET_INFO: {
        const size = vfio_device_info.offsetof('cap_offset');
        const argsz = argszOf(mm.read(arg, size), size);
        mm.write(arg, vfio_device_info.encode({ argsz, flags: VFIO_DEVICE_FLAGS_PCI, num_regions: VFIO_PCI_NUM_REGIONS, num_irqs: VFIO_PCI_NUM_IRQS }).subarray(0, size));
        return 0;
      }
      case VFIO_DEVICE_GET_REGION_INFO: {
        const bytes = mm.read(arg, vfio_region_info.size);
        argszOf(bytes, bytes.length);
        mm.write(arg, vfio_region_info.encode({ ...vfio_region_info.decode(bytes), ...this.#region(vfio_region_info.decode(bytes).index) }));
        return 0;
      }
      case VFIO_DEVICE_GET_IRQ_INFO: {
        const bytes = mm.read(arg, vfio_irq_info.size);
        argszOf(bytes, bytes.length);
        const info = vfio_irq_info.decode(bytes);
        if (info.index >= VFIO_PCI_NUM_IRQS) throw new KernelError('EINVAL', 'mdpy.irq.index', `interrupts ${info.index} of ${VFIO_PCI_NUM_IRQS}`);
        mm.write(arg, vfio_irq_info.encode({ ...info, count: 0 }));
        return 0;
      }
      case VFIO_DEVICE_QUERY_GFX_PLANE: return this.#queryPlane(arg, proc);
      case VFIO_DEVICE_SET_IRQS: throw new KernelError('EINVAL', 'mdpy.irq.none', 'the display has no interrupts');
      case VFIO_DEVICE_RESET:
        this.#reset();
        return 0;
      default: throw new KernelError('ENOTTY', 'mdpy.ioctl.unknown', `no ioctl 0x${cmd.toString(16)}`);
    }
  }

  get #size(): number {
    return this.#memory.pages * PAGE_SIZE;
  }

  #view(pos: number, len: number): Uint8Array {
    const at = pos - MDPY_MEMORY_BAR_OFFSET;
    if (at < 0 || at + len > this.#size) throw new KernelError('EFAULT', 'mdpy.access.outside', `${len} bytes at 0x${pos.toString(16)}: neither configuration nor framebuffer`);
    return this.#k.phys_view(this.#memory.pa + at, len);
  }

  /** A grey gradient, from black at the top. */
  #reset(): void {
    const { width, height } = this.#mode;
    const stride = width * BYTES_PER_PIXEL;
    const memory = this.#k.phys_view(this.#memory.pa, stride * height);
    for (let y = 0; y < height; y++) memory.fill(Math.floor((y * 255) / height), y * stride, (y + 1) * stride);
  }

  /** @throws EINVAL for an unknown region */
  #region(index: number): { flags: number; size: bigint; offset: bigint } {
    if (index >= VFIO_PCI_NUM_REGIONS && index !== MDPY_DISPLAY_REGION) throw new KernelError('EINVAL', 'mdpy.region.index', `region ${index} of ${VFIO_PCI_NUM_REGIONS}`);
    const rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) return { flags: rw, size: BigInt(MDPY_CONFIG_SPACE_SIZE), offset: 0n };
    if (index === VFIO_PCI_BAR0_REGION_INDEX || index === MDPY_DISPLAY_REGION) {
      return { flags: rw | VFIO_REGION_INFO_FLAG_MMAP, size: BigInt(this.#size), offset: BigInt(MDPY_MEMORY_BAR_OFFSET) };
    }
    return { flags: 0, size: 0n, offset: 0n };
  }

  #queryPlane(arg: number, { mm }: Process): number {
    const bytes = mm.read(arg, vfio_device_gfx_plane_info.size);
    const size = vfio_device_gfx_plane_info.offsetof('region_index') + 4;
    argszOf(bytes, size);
    const plane = vfio_device_gfx_plane_info.decode(bytes);
    if (plane.flags === (VFIO_GFX_PLANE_TYPE_PROBE | VFIO_GFX_PLANE_TYPE_REGION)) return 0;
    if (plane.flags !== VFIO_GFX_PLANE_TYPE_REGION) throw new KernelError('EINVAL', 'mdpy.plane.type', `plane flags ${plane.flags}: the display is a region`);
    const { width, height } = this.#mode;
    mm.write(arg, vfio_device_gfx_plane_info.encode({
      argsz: plane.argsz, flags: plane.flags, drm_plane_type: plane.drm_plane_type, drm_format: DRM_FORMAT_XRGB8888, width, height,
      stride: width * BYTES_PER_PIXEL, size: this.#size, region_index: MDPY_DISPLAY_REGION,
    }).subarray(0, size));
    return 0;
  }
}

/** @throws EINVAL when the caller's struct is shorter than `size` */
function argszOf(bytes: Uint8Array, size: number): number {
  const argsz = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (argsz < size) throw new KernelError('EINVAL', 'mdpy.ioctl.argsz', `argsz ${argsz}, at least ${size}`);
  return argsz;
}
