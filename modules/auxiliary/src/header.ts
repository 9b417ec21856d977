/**
 * The auxiliary bus: parts of a device that a driver hands to drivers of other subsystems.
 *
 * Mirrors `include/linux/auxiliary_bus.h` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { AttributeGroup, Device } from '@vdpalab/driver-core';

/** `struct auxiliary_device` */
export interface AuxiliaryDevice {
  readonly dev: Device;
  /** What part it is: `vnet` of `mlx5_core.vnet.2`. */
  readonly name: string;
  readonly id: number;
  /** What it is embedded in: `container_of`; whoever registered it says of what type. */
  readonly container: unknown;
}

/** What a caller gives to make one. */
export interface AuxiliaryDeviceInit {
  readonly parent: Device;
  readonly name: string;
  readonly id: number;
  readonly container: unknown;
  readonly groups?: readonly AttributeGroup<Device>[];
  /** Last reference gone. */
  readonly release: (auxdev: AuxiliaryDevice) => Atomic;
}

/** `struct auxiliary_device_id` */
export interface AuxiliaryDeviceId {
  /** `mlx5_core.vnet`: the registering module's name and the part's. */
  readonly name: string;
}

/** `struct auxiliary_driver` */
export interface AuxiliaryDriver {
  /** Behind the module's name in that of the driver; absent: the module's name alone. */
  readonly name?: string;
  readonly owner: KModule;
  readonly id_table: readonly AuxiliaryDeviceId[];
  readonly probe: (auxdev: AuxiliaryDevice, id: AuxiliaryDeviceId) => Promise<void>;
  readonly remove?: (auxdev: AuxiliaryDevice) => Promise<void>;
}

export interface AuxiliarySymbols {
  /** First half of making a device: after it, `auxiliary_device_uninit` gives it back. @throws EINVAL for no name */
  auxiliary_device_init: (init: AuxiliaryDeviceInit) => AuxiliaryDevice;
  /** Put it on the bus as `MODNAME.NAME.ID`. @throws EINVAL for no modname; EEXIST */
  __auxiliary_device_add: (auxdev: AuxiliaryDevice, modname: string) => Promise<void>;
  /** Off the bus, its driver unbound; the reference is still the caller's. */
  auxiliary_device_delete: (auxdev: AuxiliaryDevice) => Promise<void>;
  /** Give the caller's reference back. */
  auxiliary_device_uninit: (auxdev: AuxiliaryDevice) => Atomic;
  /** @throws EINVAL for an empty id table; EBUSY when the name is taken */
  __auxiliary_driver_register: (drv: AuxiliaryDriver) => Promise<void>;
  auxiliary_driver_unregister: (drv: AuxiliaryDriver) => Promise<void>;
  /** The first device behind `start` that matches, with a reference for the caller. @param start `null`: from the first */
  auxiliary_find_device: (start: Device | null, match: (auxdev: AuxiliaryDevice) => boolean) => AuxiliaryDevice | null;
  /** `to_auxiliary_dev` */
  to_auxiliary_dev: (dev: Device) => AuxiliaryDevice;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends AuxiliarySymbols {}
}
