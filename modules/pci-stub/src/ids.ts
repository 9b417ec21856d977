/** Ids as the parameter `ids` has them. Mirrors `pci_stub_init` in `drivers/pci/pci-stub.c` (Linux 6.1). */
import type { PciDeviceId } from '@vdpalab/pci';

const ANY = 0xffff_ffff;

/**
 * Read `vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]`, in hexadecimal.
 *
 * @returns the id, with what the log says of it; null with fewer than two fields
 */
export function parseId(text: string): (PciDeviceId & { readonly text: string }) | null {
  const values: number[] = [];
  for (const part of text.split(':').slice(0, 6)) {
    const [all, digits] = /^\s*(?:0[xX])?([0-9a-fA-F]+)/.exec(part) ?? [];
    if (all === undefined || digits === undefined) break;
    values.push(Number.parseInt(digits.slice(-8), 16));
    if (all !== part) break; // what follows a number must be a colon
  }
  if (values.length < 2) return null;
  const [vendor = 0, device = 0, subvendor = ANY, subdevice = ANY, cls = 0, mask = 0] = values;
  const any = (value: number): number | null => (value === ANY ? null : value);
  const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
  return {
    vendor: any(vendor), device: any(device), subvendor: any(subvendor), subdevice: any(subdevice), class: cls, class_mask: mask,
    text: `${hex(vendor, 4)}:${hex(device, 4)} sub=${hex(subvendor, 4)}:${hex(subdevice, 4)} cls=${hex(cls, 8)}/${hex(mask, 8)}`,
  };
}
