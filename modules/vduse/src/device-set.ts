/** Devices that processes have set up, by name. Mirrors `vduse_create_dev` and `vduse_destroy_dev` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError, type KernelSymbols, type KModule } from '@vdpalab/abi';
import type { Attribute, Device, DeviceInit, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { Workqueue } from '@vdpalab/sched';
import type { DeviceSet } from './control.ts';
import { VduseDev, type DeviceSymbols } from './device.ts';
import { deviceFile } from './device-file.ts';
import type { IoctlSymbols } from './device-ioctl.ts';

/** What making devices takes. */
export type DeviceSetSymbols =
  & DeviceSymbols & IoctlSymbols
  & Pick<DriverCoreSymbols, 'device_initialize' | 'put_device' | 'cdev_device_add' | 'cdev_device_del'>
  & Pick<KernelSymbols, '__module_get' | 'module_put'>;

/** What all devices share. */
export interface DeviceSetInit {
  /** A node below /dev/vduse. */
  readonly node: (name: string, minor: number) => Pick<DeviceInit, 'name' | 'class' | 'devt' | 'devnode'>;
  readonly irqs: Workqueue;
  readonly owner: KModule;
  readonly maxIotlbEntries: number;
}

/** `msg_timeout`, seconds: 0 waits for ever. */
function timeoutAttribute(dev: VduseDev): Attribute<Device> {
  return {
    name: 'msg_timeout',
    mode: 0o644,
    show: async () => `${dev.msg_timeout}\n`,
    async store(_, text) {
      const number = /^\+?(\d+|0x[0-9a-f]+)\n?$/i.exec(text)?.[1];
      if (number === undefined) throw new KernelError('EINVAL', 'vduse.msg-timeout', `${dev.name}: ${JSON.stringify(text)} is no number of seconds`);
      const seconds = /^0[0-7]/.test(number) ? Number.parseInt(number, 8) : Number(number);
      if (!(seconds <= 0xffff_ffff)) throw new KernelError('ERANGE', 'vduse.msg-timeout.range', `${dev.name}: ${number} seconds, at most ${0xffff_ffff}`);
      dev.msg_timeout = seconds;
    },
  };
}

/** The set of one module; changes to it are made with the module's lock held. */
export function deviceSet(k: DeviceSetSymbols, { node, irqs, owner, maxIotlbEntries }: DeviceSetInit): DeviceSet & { readonly devices: ReadonlyMap<string, VduseDev> } {
  const devices = new Map<string, VduseDev>();

  const lowestFree = (): number => {
    const taken = new Set([...devices.values()].map((dev) => dev.init.minor));
    let minor = 1; // the control node has the first
    while (taken.has(minor)) minor++;
    return minor;
  };

  return {
    devices,
    async create(name, config, space) {
      if (devices.has(name)) throw new KernelError('EEXIST', 'vduse.create.exists', `${name}: a process has set it up already`);
      const minor = lowestFree();
      const dev = new VduseDev(k, {
        name, minor, maxIotlbEntries, vendorId: config.vendor_id, deviceId: config.device_id, features: config.features,
        vqNum: config.vq_num, vqAlign: config.vq_align, config: space,
      }, irqs);
      dev.dev = k.device_initialize({ ...node(name, minor), groups: [{ attrs: [timeoutAttribute(dev)] }] });
      try {
        await k.cdev_device_add(dev.dev, deviceFile(k, dev, owner), owner, dev);
      } catch (error) {
        k.put_device(dev.dev);
        dev.domain.put();
        throw error;
      }
      k.__module_get(owner); // stays while there are devices
      devices.set(name, dev);
    },
    async destroy(name) {
      const dev = devices.get(name);
      if (dev === undefined) throw new KernelError('EINVAL', 'vduse.destroy.unknown', `${name}: no process has set it up`);
      await k.mutex_lock(dev.lock);
      try {
        if (dev.vdev !== null || dev.connected) {
          throw new KernelError('EBUSY', 'vduse.destroy.busy', `${name}: ${dev.vdev === null ? 'a process has it open' : 'it is on the vdpa bus'}`);
        }
        if (dev.umem !== null) dev.leaveUmem(dev.umem.iova, dev.umem.size); // where the last close could not
        dev.connected = true; // nobody opens it any more
      } finally {
        k.mutex_unlock(dev.lock);
      }
      await dev.reset();
      await k.cdev_device_del(dev.dev);
      devices.delete(name);
      k.put_device(dev.dev);
      dev.domain.clear();
      dev.domain.put();
      k.module_put(owner);
    },
  };
}
