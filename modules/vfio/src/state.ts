/** What one load of the module keeps: `struct vfio`. */
import type { KernelSymbols, KModule, ParamValues } from '@vdpalab/abi';
import type { Class, Ida } from '@vdpalab/driver-core';
import type { Mutex } from '@vdpalab/sched';
import type { VfioContainer } from './container.ts';
import type { VfioGroup } from './group.ts';
import type { VfioDeviceState } from './device.ts';
import type { IommuDrivers } from './iommu-driver.ts';
import type { imports, params } from './module-data.ts';

/** The kernel as VFIO sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]>;

/** `struct vfio` */
export interface Vfio {
  readonly k: Kernel;
  readonly owner: KModule;
  readonly params: ParamValues<typeof params>;
  /** `/sys/class/vfio` and `/sys/class/vfio-dev` */
  readonly groupClass: Class;
  readonly deviceClass: Class;
  readonly major: number;
  readonly deviceIds: Ida;
  readonly groupIds: Ida;
  /** `group_lock`: the list of groups. */
  readonly groupsLock: Mutex;
  readonly groups: Set<VfioGroup>;
  readonly devices: Set<VfioDeviceState>;
  readonly sets: Map<unknown, VfioSet>;
  readonly drivers: IommuDrivers;
  readonly containers: Set<VfioContainer>;
}

/** A device set while it has devices. */
export interface VfioSet {
  readonly id: unknown;
  readonly lock: Mutex;
  readonly devices: VfioDeviceState[];
}
