/** Text of `new_id` and `remove_id`. Mirrors `drivers/pci/pci-driver.c` (Linux 6.1), `new_id_store`, `remove_id_store`. */
import type { PciDeviceId } from './header.ts';

const PCI_ANY_ID = 0xffff_ffff;

/** An id as written, and how many of its fields there were. */
export interface NewId {
  readonly id: PciDeviceId;
  /** Value for the driver, 0 when absent; tables here carry none. */
  readonly driver_data: number;
  readonly fields: number;
}

/**
 * Read `vendor device [subvendor [subdevice [class [class_mask [driver_data]]]]]`, in hexadecimal with or without `0x`.
 *
 * Reading stops at what is no number, as `sscanf` does.
 */
export function parseNewId(text: string): NewId {
  const values: number[] = [];
  let rest = text;
  while (values.length < 7) {
    const m = /^\s*(?:0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]+)/.exec(rest);
    if (m === null) break;
    values.push(Number.parseInt(m[1]!.slice(-8), 16));
    rest = rest.slice(m[0].length);
  }
  const [vendor = 0, device = 0, subvendor = PCI_ANY_ID, subdevice = PCI_ANY_ID, cls = 0, mask = 0, data = 0] = values;
  return {
    id: {
      vendor: any(vendor), device: any(device), subvendor: any(subvendor), subdevice: any(subdevice),
      class: cls, class_mask: mask,
    },
    driver_data: data,
    fields: values.length,
  };
}

/** Whether `remove_id` means this dynamic id; an absent subsystem id means any. */
export function removesId(wanted: PciDeviceId, id: PciDeviceId): boolean {
  return wanted.vendor === id.vendor && wanted.device === id.device
    && (wanted.subvendor === null || wanted.subvendor === id.subvendor)
    && (wanted.subdevice === null || wanted.subdevice === id.subdevice)
    && ((wanted.class ^ id.class) & wanted.class_mask) === 0;
}

function any(value: number): number | null {
  return value === PCI_ANY_ID ? null : value;
}
