/**
 * Module aliases of PCI devices and of the ids drivers match: what depmod compares with fnmatch.
 *
 * `scripts/mod/file2alias.c` `do_pci_entry` writes those of drivers, `drivers/pci/pci-driver.c` `pci_uevent` those of
 * devices (Linux 6.1).
 */

/** An id as a driver's table has it; `null` matches anything. */
export interface PciAliasId {
  readonly vendor: number | null;
  readonly device: number | null;
  readonly subvendor: number | null;
  readonly subdevice: number | null;
  /** Base class, subclass and programming interface, 24 bits. */
  readonly class: number;
  /** Bits of `class` that count: each byte all or none. */
  readonly class_mask: number;
  /** The driver takes it only by driver_override. */
  readonly override_only?: boolean;
}

/** What a device says of itself. */
export interface PciModaliasId {
  readonly vendor: number;
  readonly device: number;
  readonly subsystem_vendor: number;
  readonly subsystem_device: number;
  /** 24 bits. */
  readonly class: number;
}

/** The `MODULE_ALIAS` of one id of a driver. */
export function pciAlias(id: PciAliasId): string {
  const ids = `v${wide(id.vendor)}d${wide(id.device)}sv${wide(id.subvendor)}sd${wide(id.subdevice)}`;
  const classes = `bc${byte(id, 16)}sc${byte(id, 8)}i${byte(id, 0)}`;
  return `${id.override_only === true ? 'vfio_pci' : 'pci'}:${ids}${classes}`;
}

/** The `modalias` of a device. */
export function pciModalias(dev: PciModaliasId): string {
  return pciAlias({
    vendor: dev.vendor, device: dev.device, subvendor: dev.subsystem_vendor, subdevice: dev.subsystem_device,
    class: dev.class, class_mask: 0xff_ffff,
  });
}

function wide(value: number | null): string {
  return value === null ? '*' : value.toString(16).toUpperCase().padStart(8, '0');
}

function byte({ class: value, class_mask }: PciAliasId, shift: number): string {
  if (((class_mask >>> shift) & 0xff) !== 0xff) return '*';
  return ((value >>> shift) & 0xff).toString(16).toUpperCase().padStart(2, '0');
}
