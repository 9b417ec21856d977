/** A serial card of one or two ports as VFIO's user sees it. Mirrors `samples/vfio-mdev/mtty.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS,
  VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE, VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_PCI_REQ_IRQ_INDEX, VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE, vfio_device_info, vfio_irq_info, vfio_irq_set, vfio_region_info,
} from '@vdpalab/uapi';
import { ConfigSpace, MTTY_CONFIG_SPACE_SIZE, MTTY_IO_BAR_SIZE } from './config-space.ts';
import { Irqs } from './irqs.ts';
import { Uart } from './uart.ts';

/** Where a region begins in the device's file. */
const OFFSET_OF = 2 ** 40;
const KERN_INFO = 6;

/** What a card needs of the kernel. */
export type CardKernel = Pick<KernelSymbols, '_printk' | 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal' | 'vfio_set_irqs_validate_and_prepare'>;

/** One mediated device. */
export class SerialCard {
  readonly #k: CardKernel;
  readonly ports: 1 | 2;
  readonly #uarts: readonly Uart[];
  readonly #config: ConfigSpace;
  readonly #irqs: Irqs;

  constructor(k: CardKernel, ports: 1 | 2) {
    const info = (text: string): void => void k._printk(KERN_INFO, text);
    this.#k = k;
    this.ports = ports;
    this.#irqs = new Irqs(k, info);
    this.#config = new ConfigSpace(ports, info);
    this.#uarts = Array.from({ length: ports }, () => new Uart(() => this.#irqs.trigger()));
  }

  /** Read from the device's file, in pieces as large as they are aligned, up to 4. @throws EFAULT outside of the regions */
  read(len: number, pos: number): Uint8Array {
    const out = new Uint8Array(len);
    for (const { at, size } of pieces(pos, len)) out.set(this.#readPiece(at, size), at - pos);
    return out;
  }

  /** Write to the device's file, likewise. @returns bytes taken: all @throws EFAULT */
  write(bytes: Uint8Array, pos: number): number {
    for (const { at, size } of pieces(pos, bytes.length)) this.#writePiece(at, bytes.subarray(at - pos, at - pos + size));
    return bytes.length;
  }

  /** @throws EFAULT for a bad address; EINVAL for a struct that is too short, an unknown index; ENOTTY */
  ioctl(cmd: number, arg: number, proc: Process): number {
    const { mm } = proc;
    switch (cmd) {
      case VFIO_DEVICE_GET_INFO: {
        const size = vfio_device_info.offsetof('cap_offset');
        const argsz = argszOf(mm.read(arg, size), size);
        const info = { argsz, flags: VFIO_DEVICE_FLAGS_PCI, num_regions: VFIO_PCI_NUM_REGIONS, num_irqs: VFIO_PCI_NUM_IRQS };
        mm.write(arg, vfio_device_info.encode(info).subarray(0, size));
        return 0;
      }
      case VFIO_DEVICE_GET_REGION_INFO: {
        const bytes = mm.read(arg, vfio_region_info.size);
        argszOf(bytes, vfio_region_info.size);
        const info = vfio_region_info.decode(bytes);
        mm.write(arg, vfio_region_info.encode({
          ...info, flags: VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, size: BigInt(this.#regionSize(info.index)), offset: BigInt(info.index * OFFSET_OF),
        }));
        return 0;
      }
      case VFIO_DEVICE_GET_IRQ_INFO: {
        const bytes = mm.read(arg, vfio_irq_info.size);
        argszOf(bytes, vfio_irq_info.size);
        const info = vfio_irq_info.decode(bytes);
        mm.write(arg, vfio_irq_info.encode({ ...info, flags: irqFlags(info.index), count: 1 }));
        return 0;
      }
      case VFIO_DEVICE_SET_IRQS: {
        const hdr = vfio_irq_set.decode(mm.read(arg, vfio_irq_set.size));
        const size = this.#k.vfio_set_irqs_validate_and_prepare(hdr, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_IRQS);
        const data = size === 0 ? new Uint8Array(0) : mm.read(arg + vfio_irq_set.size, size);
        this.#irqs.set(hdr.index, hdr.flags, new DataView(data.buffer, data.byteOffset, data.byteLength), proc);
        return 0;
      }
      case VFIO_DEVICE_RESET:
        this.#k._printk(KERN_INFO, 'mtty_reset: called');
        return 0;
      default: throw new KernelError('ENOTTY', 'mtty.ioctl.unknown', `no ioctl 0x${cmd.toString(16)}`);
    }
  }

  /** Nobody has it open any more: let go of what users gave. */
  release(): void {
    this.#irqs.release();
  }

  #readPiece(at: number, size: number): Uint8Array {
    const { index, offset } = regionOf(at);
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) return this.#config.read(offset, size) ?? outside(at);
    const out = new Uint8Array(size);
    out[0] = this.#uart(index, at).read(offset); // a register is a byte
    return out;
  }

  #writePiece(at: number, bytes: Uint8Array): void {
    const { index, offset } = regionOf(at);
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) {
      if (!this.#config.write(offset, bytes)) outside(at);
      return;
    }
    this.#uart(index, at).write(offset, bytes[0]!); // a piece has a byte at least
  }

  #uart(index: number, at: number): Uart {
    return this.#uarts[index] ?? outside(at);
  }

  /** @throws EINVAL for an unknown region */
  #regionSize(index: number): number {
    if (index >= VFIO_PCI_NUM_REGIONS) throw new KernelError('EINVAL', 'mtty.region.index', `region ${index} of ${VFIO_PCI_NUM_REGIONS}`);
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) return MTTY_CONFIG_SPACE_SIZE;
    return index < this.ports ? MTTY_IO_BAR_SIZE : 0;
  }
}

/** @throws EINVAL for an index that the card has not got */
function irqFlags(index: number): number {
  if (index === VFIO_PCI_INTX_IRQ_INDEX) return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  if (index === VFIO_PCI_MSI_IRQ_INDEX || index === VFIO_PCI_REQ_IRQ_INDEX) return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
  throw new KernelError('EINVAL', 'mtty.irq.index', `interrupts ${index}: the card has INTx, MSI and REQ`);
}

/** @throws EINVAL when the caller's struct is shorter than `size` */
function argszOf(bytes: Uint8Array, size: number): number {
  const argsz = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (argsz < size) throw new KernelError('EINVAL', 'mtty.ioctl.argsz', `argsz ${argsz}, at least ${size}`);
  return argsz;
}

function regionOf(pos: number): { index: number; offset: number } {
  return { index: Math.floor(pos / OFFSET_OF), offset: pos % OFFSET_OF };
}

function outside(at: number): never {
  const { index, offset } = regionOf(at);
  throw new KernelError('EFAULT', 'mtty.access.outside', `region ${index} has nothing at 0x${offset.toString(16)}`);
}

/** A range cut into aligned pieces of 4, 2 and 1 bytes. */
function* pieces(pos: number, len: number): Generator<{ at: number; size: number }> {
  const end = pos + len;
  for (let at = pos; at < end;) {
    const size = end - at >= 4 && at % 4 === 0 ? 4 : end - at >= 2 && at % 2 === 0 ? 2 : 1;
    yield { at, size };
    at += size;
  }
}
