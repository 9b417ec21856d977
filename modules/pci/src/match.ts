/** Which driver takes which function. Mirrors `drivers/pci/pci-driver.c` and `pci.h` (Linux 6.1). */
import type { PciDeviceId } from './header.ts';

/** What ids are compared with. */
export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** `null` where no value was given: then only ids that take any match. */
  readonly subsystem_vendor: number | null;
  readonly subsystem_device: number | null;
  /** 24 bits. */
  readonly class: number;
}

/** What a driver matches with. */
export interface PciMatcher {
  readonly name: string;
  readonly id_table: readonly PciDeviceId[];
  /** Ids added through `new_id`, oldest first. */
  readonly dynids: readonly PciDeviceId[];
}

/** What a driver that was named by driver_override gets when its tables do not have the function. */
export const pciDeviceIdAny: PciDeviceId = {
  vendor: null, device: null, subvendor: null, subdevice: null, class: 0, class_mask: 0,
};

/** Whether an id takes the function. @see `pci_match_one_device` */
export function matchOneDevice(id: PciDeviceId, dev: PciIdentity): boolean {
  return matches(id.vendor, dev.vendor) && matches(id.device, dev.device)
    && matches(id.subvendor, dev.subsystem_vendor) && matches(id.subdevice, dev.subsystem_device)
    && ((id.class ^ dev.class) & id.class_mask) === 0;
}

/**
 * The id by which a driver takes a function; dynamic ids first.
 *
 * @param override the function's driver_override
 * @returns `null` when it does not
 * @see `pci_match_device`
 */
export function matchDevice(drv: PciMatcher, dev: PciIdentity, override: string | null): PciDeviceId | null {
  if (override !== null && override !== drv.name) return null;
  const found = drv.dynids.find((id) => matchOneDevice(id, dev))
    ?? drv.id_table.find((id) => matchOneDevice(id, dev) && (id.override_only !== true || override !== null));
  return found ?? (override === null ? null : pciDeviceIdAny);
}

function matches(wanted: number | null, found: number | null): boolean {
  return wanted === null || wanted === found;
}
