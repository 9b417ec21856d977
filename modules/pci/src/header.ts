/**
 * The PCI bus.
 *
 * Mirrors `include/linux/pci.h` and `include/linux/mod_devicetable.h` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { AttributeGroup, Device } from '@vdpalab/driver-core';

/** `struct pci_device_id`; absent fields match anything (`PCI_ANY_ID`). */
export interface PciDeviceId {
  readonly vendor: number | null;
  readonly device: number | null;
  readonly subvendor: number | null;
  readonly subdevice: number | null;
  readonly class: number;
  readonly class_mask: number;
  /** Matches only by driver_override when set: PCI_ID_F_VFIO_DRIVER_OVERRIDE. */
  readonly override_only?: boolean;
}

/** A BAR as assigned. */
export interface PciResource {
  /** Physical address; 0 when unassigned. */
  readonly start: number;
  /** Bytes; 0 when the BAR is absent. */
  readonly size: number;
  /** IORESOURCE_* */
  readonly flags: number;
}

/** `struct pci_dev` */
export interface PciDev {
  readonly dev: Device;
  readonly domain: number;
  readonly bus: number;
  readonly devfn: number;
  readonly vendor: number;
  readonly device: number;
  readonly subsystem_vendor: number;
  readonly subsystem_device: number;
  readonly class: number;
  readonly revision: number;
  readonly is_virtfn: boolean;
  /** Bytes of configuration space: 256 or 4096. */
  readonly cfg_size: number;
  /** PCI_HEADER_TYPE_*, without the multi-function bit. */
  readonly hdr_type: number;
  /** Offset of the PCI Express capability, 0 without. */
  readonly pcie_cap: number;
  readonly physfn: PciDev | null;
  /** BARs 0..5, ROM 6. */
  readonly resource: readonly PciResource[];
  readonly driver: PciDriver | null;
  readonly msix_enabled: boolean;
  /** Interrupt number of its pin, once enabled; 0 when it has none. */
  readonly irq: number;
}

/** `struct pci_driver` */
export interface PciDriver {
  readonly name: string;
  readonly owner: KModule;
  readonly id_table: readonly PciDeviceId[];
  readonly probe: (pdev: PciDev, id: PciDeviceId) => Promise<void>;
  readonly remove?: (pdev: PciDev) => Promise<void>;
  /** @returns VFs enabled. @param numVfs 0 disables */
  readonly sriov_configure?: (pdev: PciDev, numVfs: number) => Promise<number>;
  readonly dev_groups?: readonly AttributeGroup<Device>[];
  /** User-space DMA: then the driver core claims no default domain. */
  readonly driver_managed_dma?: boolean;
}

/** `struct pci_saved_state`: the header as it was. */
export interface PciSavedState {
  readonly header: readonly number[];
}

/** A mapped register window: `void __iomem *`, of memory or of I/O ports. */
export interface IoMem {
  /** Physical address of offset 0. */
  readonly pa: number;
  readonly size: number;
  readonly read8: (offset: number) => number;
  readonly read16: (offset: number) => number;
  readonly read32: (offset: number) => number;
  readonly write8: (offset: number, value: number) => Atomic;
  readonly write16: (offset: number, value: number) => Atomic;
  readonly write32: (offset: number, value: number) => Atomic;
}

export interface PciSymbols {
  __pci_register_driver: (drv: PciDriver) => Promise<void>;
  pci_unregister_driver: (drv: PciDriver) => Promise<void>;
  to_pci_dev: (dev: Device) => PciDev;
  /** Every function on every bus, in bus order. */
  pci_devices: () => readonly PciDev[];
  pci_get_drvdata: (pdev: PciDev) => unknown;
  pci_set_drvdata: (pdev: PciDev, data: unknown) => Atomic;

  /** Decoding on. @throws EINVAL */
  pci_enable_device: (pdev: PciDev) => Atomic;
  /** Undo one pci_enable_device; the last one ends bus mastering. */
  pci_disable_device: (pdev: PciDev) => Atomic;
  /** Whether it still answers. */
  pci_device_is_present: (pdev: PciDev) => boolean;
  /** Decoding on; released with the driver. @throws EINVAL */
  pcim_enable_device: (pdev: PciDev) => Atomic;
  /** Reserve and map BARs; released with the driver. @param mask bit per BAR; @throws EBUSY when reserved, EINVAL for an absent BAR */
  pcim_iomap_regions: (pdev: PciDev, mask: number, name: string) => Atomic;
  /** Windows mapped by pcim_iomap_regions, by BAR. */
  pcim_iomap_table: (pdev: PciDev) => readonly (IoMem | null)[];
  pci_request_region: (pdev: PciDev, bar: number, name: string) => Atomic;
  pci_release_region: (pdev: PciDev, bar: number) => Atomic;
  /** @param mask bit per BAR; @throws EBUSY when one is reserved; none is then */
  pci_request_selected_regions: (pdev: PciDev, mask: number, name: string) => Atomic;
  pci_release_selected_regions: (pdev: PciDev, mask: number) => Atomic;
  /** @throws ENOMEM for a BAR that is absent or has no address, where Linux returns NULL */
  pci_iomap: (pdev: PciDev, bar: number) => IoMem;
  /** At most `maxlen` bytes from `offset` on. @throws ENOMEM as pci_iomap, and for an offset beyond the BAR */
  pci_iomap_range: (pdev: PciDev, bar: number, offset: number, maxlen: number) => IoMem;
  pci_iounmap: (pdev: PciDev, mem: IoMem) => Atomic;
  pci_resource_start: (pdev: PciDev, bar: number) => number;
  pci_resource_len: (pdev: PciDev, bar: number) => number;
  /** IORESOURCE_* */
  pci_resource_flags: (pdev: PciDev, bar: number) => number;
  /** Bus mastering on. */
  pci_set_master: (pdev: PciDev) => Atomic;
  pci_clear_master: (pdev: PciDev) => Atomic;

  pci_read_config_byte: (pdev: PciDev, where: number) => number;
  pci_read_config_word: (pdev: PciDev, where: number) => number;
  pci_read_config_dword: (pdev: PciDev, where: number) => number;
  pci_write_config_byte: (pdev: PciDev, where: number, value: number) => Atomic;
  pci_write_config_word: (pdev: PciDev, where: number, value: number) => Atomic;
  pci_write_config_dword: (pdev: PciDev, where: number, value: number) => Atomic;
  /** @returns offset in configuration space, 0 when absent */
  pci_find_capability: (pdev: PciDev, cap: number) => number;
  pci_find_next_capability: (pdev: PciDev, pos: number, cap: number) => number;
  pci_find_ext_capability: (pdev: PciDev, cap: number) => number;
  pci_name: (pdev: PciDev) => string;

  /**
   * MSI-X on, between `min` and `max` vectors, unmasked: an interrupt may come as soon as there is a handler.
   *
   * @returns how many
   * @throws ENOSPC when there are fewer than `min`; ERANGE for `max` below `min`; EINVAL when it is on already, absent or
   * forbidden; ENOMEM when the table has no address
   */
  pci_alloc_irq_vectors: (pdev: PciDev, min: number, max: number) => Promise<number>;
  pci_free_irq_vectors: (pdev: PciDev) => Promise<void>;
  /** Linux interrupt number of a vector. @throws EINVAL */
  pci_irq_vector: (pdev: PciDev, nr: number) => number;
  /** Vectors the function has. @throws EINVAL without the capability */
  pci_msix_vec_count: (pdev: PciDev) => number;

  /**
   * Enable VFs and add their devices.
   *
   * @throws ENOSYS without the capability; EINVAL when VFs are enabled, or for more than there are; ENOMEM without bus
   * numbers or VF BARs; EIO
   */
  pci_enable_sriov: (pdev: PciDev, numVfs: number) => Promise<void>;
  pci_disable_sriov: (pdev: PciDev) => Promise<void>;
  pci_num_vf: (pdev: PciDev) => number;
  pci_vfs_assigned: (pdev: PciDev) => number;
  /** What a PF driver with nothing of its own to do puts in sriov_configure. @throws ENODEV without the capability */
  pci_sriov_configure_simple: (pdev: PciDev, numVfs: number) => Promise<number>;
  /** Reset through FLR where the function has it. @throws ENOTTY */
  pcie_flr: (pdev: PciDev) => Promise<void>;
  /** Reset the function and bring its configuration back. @throws EAGAIN while its device lock is taken; ENOTTY */
  pci_try_reset_function: (pdev: PciDev) => Promise<void>;
  /** The same for who has the device lock; the configuration is the caller's to bring back. @throws ENOTTY */
  __pci_reset_function_locked: (pdev: PciDev) => Promise<void>;
  /** @returns whether the device lock was free, and is now the caller's */
  pci_dev_trylock: (pdev: PciDev) => boolean;
  pci_dev_unlock: (pdev: PciDev) => Atomic;
  /** Remember the header for {@link PciSymbols.pci_restore_state}. */
  pci_save_state: (pdev: PciDev) => Atomic;
  /** Write it again, with MSI-X and SR-IOV; nothing when nothing was saved. */
  pci_restore_state: (pdev: PciDev) => Promise<void>;
  /** @returns what was saved; null when nothing was */
  pci_store_saved_state: (pdev: PciDev) => PciSavedState | null;
  /** Make it what is to be restored. */
  pci_load_saved_state: (pdev: PciDev, state: PciSavedState | null) => Atomic;
  /** The functions that a reset of this function's bus resets. @throws ENOTTY when its bus cannot be reset */
  pci_probe_reset_bus: (pdev: PciDev) => readonly PciDev[];
  /** Reset the bus of this function through the bridge above, and bring the configuration of all its functions back. @throws ENOTTY EAGAIN */
  pci_reset_bus: (pdev: PciDev) => Promise<void>;
  /** The pin's own mask, bit INTX_DISABLE of the command register. */
  pci_intx: (pdev: PciDev, enable: boolean) => Atomic;
  /** Whether that bit can be set and cleared. */
  pci_intx_mask_supported: (pdev: PciDev) => boolean;
  /** Mask the pin if it is asserted. @returns whether it was */
  pci_check_and_mask_intx: (pdev: PciDev) => boolean;
  /** Unmask the pin unless it is asserted. @returns whether it was unmasked */
  pci_check_and_unmask_intx: (pdev: PciDev) => boolean;
  /** Teach a driver an id, as `new_id` does, and offer it what is free. @throws EEXIST */
  pci_add_dynid: (drv: PciDriver, id: PciDeviceId) => Promise<void>;
  /** Regions, vectors and windows that drivers left, for leak reports. */
  pci_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends PciSymbols {}
}
