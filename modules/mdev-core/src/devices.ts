/** Mediated devices: made and removed. Mirrors `drivers/vfio/mdev/mdev_core.c` (Linux 6.1; with a parent of 2016, 4.10). */
import { foldError, isKernelError, KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { AttributeGroup, BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import { MDEV_CLASS_ID_VFIO } from '@vdpalab/uapi';
import type { MdevDevice, MdevDriver, MdevType } from './header.ts';
import type { RegisteredParent } from './parents.ts';
import { meansRemove } from './text.ts';

/** What devices need. */
export type DevicesKernel = Pick<KernelSymbols, 'device_initialize' | 'device_add' | 'device_del' | 'device_driver_attach' | 'put_device' | 'dev_err'>;

/** A mediated device, and what the core keeps of it. */
interface Mdev extends MdevDevice {
  /** Made, and not being removed. */
  active: boolean;
  readonly registered: RegisteredParent;
  /** Takes the links with its type away. */
  unlink: (() => void) | null;
}

/** The mediated devices of one kernel. */
export interface MdevDevices {
  /**
   * Make one. What fails leaves nothing behind.
   *
   * @throws EEXIST when any parent has one of that UUID; EUSERS when the parent's count is used up; ENODEV when the parent
   * is going; what the driver's probe or the parent's create says
   */
  readonly create: (registered: RegisteredParent, type: MdevType, uuid: string) => Promise<void>;
  /** Remove a child of a parent that goes; a child that is no mediated device stays. */
  readonly removeChild: (registered: RegisteredParent, dev: Device) => Promise<void>;
  readonly of: (dev: Device) => MdevDevice | null;
}

/**
 * Make the devices of one kernel.
 *
 * @param driverOf the driver on the bus, for today's surface
 */
export function createDevices(k: DevicesKernel, bus: () => BusType, driverOf: (drv: MdevDriver) => DeviceDriver): MdevDevices {
  const byUuid = new Map<string, Mdev>();
  const byDevice = new WeakMap<Device, Mdev>();

  const removeGroup: AttributeGroup<Device> = {
    attrs: [{
      name: 'remove', mode: 0o200,
      store: async (dev, text) => {
        if (meansRemove(text)) await remove(byDevice.get(dev)!); // the file is a mediated device's
      },
    }],
  };

  /** A device with its UUID and its share of the parent taken; both go back with its last reference. */
  function reserve(registered: RegisteredParent, type: MdevType, uuid: string): Mdev {
    const { parent } = registered;
    if (byUuid.has(uuid)) throw new KernelError('EEXIST', 'mdev.create.exists', `${uuid}: is a device of ${byUuid.get(uuid)!.parent.dev.name}`);
    const counted = parent.mdev_driver !== null && parent.mdev_driver.get_available === undefined;
    if (counted && registered.available === 0) throw new KernelError('EUSERS', 'mdev.create.available', `${parent.dev.name}: no instance is available`);
    if (counted) registered.available--;
    const dev = k.device_initialize({
      name: uuid, parent: parent.dev, bus: bus(), groups: [removeGroup, ...(parent.ops?.mdev_attr_groups ?? [])],
      release: () => {
        byUuid.delete(uuid);
        if (counted) registered.available++;
      },
    });
    const mdev: Mdev = {
      dev, uuid, type, parent, registered, driver_data: null, class_id: MDEV_CLASS_ID_VFIO, device_ops: null, iommu_device: null, active: false, unlink: null,
    };
    byUuid.set(uuid, mdev);
    byDevice.set(dev, mdev);
    return mdev;
  }

  /** Put a reserved device in sysfs and under its driver. */
  async function bringUp(mdev: Mdev): Promise<void> {
    const { dev, type, registered: { parent, types } } = mdev;
    await parent.ops?.create(type, mdev); // before anybody can open it
    let added = false;
    try {
      await k.device_add(dev);
      added = true;
      if (parent.mdev_driver !== null) await k.device_driver_attach(driverOf(parent.mdev_driver), dev);
      mdev.unlink = types.link(type, dev, dev.sd!); // in sysfs since device_add
      mdev.active = true;
    } catch (error) {
      if (added) await k.device_del(dev);
      await vendorRemove(mdev);
      throw error;
    }
  }

  /** Ask no more: the device goes whatever the vendor says. */
  async function vendorRemove(mdev: Mdev): Promise<void> {
    try {
      await mdev.parent.ops?.remove(mdev);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k.dev_err(mdev.dev, `Remove failed: ${error.message}`);
    }
  }

  /** @throws ENODEV when it or its parent is going; EAGAIN when it is not yet made, or being removed; EBUSY when the vendor refuses */
  async function remove(mdev: Mdev): Promise<void> {
    if (byUuid.get(mdev.uuid) !== mdev) throw new KernelError('ENODEV', 'mdev.remove.gone', `${mdev.uuid}: is gone`);
    if (!mdev.active) throw new KernelError('EAGAIN', 'mdev.remove.inactive', `${mdev.uuid}: is being made or removed`);
    mdev.active = false;
    await mdev.registered.gate.through(async () => {
      try {
        await mdev.parent.ops?.remove(mdev);
      } catch (error) {
        mdev.active = true;
        if (!isKernelError(error)) throw error;
        throw foldError('EBUSY', 'mdev.remove.refused', `${mdev.uuid}: ${error.message}`, error);
      }
      await takeDown(mdev);
    });
  }

  async function takeDown(mdev: Mdev): Promise<void> {
    mdev.unlink?.();
    mdev.unlink = null;
    await k.device_del(mdev.dev);
    k.put_device(mdev.dev);
  }

  return {
    async create(registered, type, uuid) {
      const mdev = reserve(registered, type, uuid);
      try {
        await registered.gate.through(() => bringUp(mdev));
      } catch (error) {
        k.put_device(mdev.dev);
        throw error;
      }
    },
    async removeChild(registered, dev) {
      const mdev = byDevice.get(dev);
      if (mdev?.registered !== registered) return;
      mdev.active = false;
      await vendorRemove(mdev);
      await takeDown(mdev);
    },
    of: (dev) => byDevice.get(dev) ?? null,
  };
}
