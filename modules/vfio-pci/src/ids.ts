/** The parameter `ids`. Mirrors `vfio_pci_fill_ids` in `drivers/vfio/pci/vfio_pci.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { PciDeviceId, PciDriver } from '@vdpalab/pci';
import { ERRNO } from '@vdpalab/uapi';

const KERN_WARNING = 4;
const KERN_INFO = 6;
const ANY = 0xffff_ffff;

/** `vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]`, in hexadecimal, each at most 32 bits. @returns null with fewer than two fields */
export function parseId(text: string): readonly number[] | null {
  const values: number[] = [];
  for (const part of text.split(':').slice(0, 6)) {
    const m = /^\s*(?:0[xX])?([0-9a-fA-F]+)/.exec(part);
    if (m === null) break;
    values.push(Number.parseInt(m[1]!.slice(-8), 16));
    if (m[0] !== part) break; // what follows a number must be a colon
  }
  if (values.length < 2) return null;
  const [vendor = 0, device = 0, subvendor = ANY, subdevice = ANY, cls = 0, mask = 0] = values;
  return [vendor, device, subvendor, subdevice, cls, mask];
}

/** Give the driver the ids of the parameter; what cannot be read is told and passed by. */
export async function fillIds(k: Pick<KernelSymbols, '_printk' | 'pci_add_dynid'>, drv: PciDriver, ids: string): Promise<void> {
  for (const text of ids.split(',').filter((part) => part !== '')) {
    const values = parseId(text);
    if (values === null) {
      k._printk(KERN_WARNING, `vfio_pci: invalid id string "${text}"`);
      continue;
    }
    const what = describe(values);
    try {
      await k.pci_add_dynid(drv, deviceId(values));
      k._printk(KERN_INFO, `vfio_pci: add ${what}`);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k._printk(KERN_WARNING, `vfio_pci: failed to add dynamic id ${what} (${-ERRNO[error.errno]})`);
    }
  }
}

function deviceId([vendor = 0, device = 0, subvendor = ANY, subdevice = ANY, cls = 0, mask = 0]: readonly number[]): PciDeviceId {
  const any = (value: number): number | null => (value === ANY ? null : value);
  return { vendor: any(vendor), device: any(device), subvendor: any(subvendor), subdevice: any(subdevice), class: cls, class_mask: mask };
}

function describe([vendor = 0, device = 0, subvendor = 0, subdevice = 0, cls = 0, mask = 0]: readonly number[]): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const alternate = (value: number): string => (value === 0 ? '0x000000' : `0x${hex(value, 6)}`);
  return `[${hex(vendor, 4)}:${hex(device, 4)}[${hex(subvendor, 4)}:${hex(subdevice, 4)}]] class ${alternate(cls)}/${hex(mask, 8)}`;
}
