/** The driver core. Mirrors `drivers/base` and `lib/kobject_uevent.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Atomic, ModuleEvent } from '@vdpalab/abi';
import { bootCore } from './boot.ts';
import { busFindDeviceByName } from './bus-device.ts';
import { busRegister, busRescanDevices, busUnregister } from './bus.ts';
import { cdevDeviceAdd, cdevDeviceDel } from './cdev-device.ts';
import { classRegister, classUnregister } from './class.ts';
import { deviceAttach, deviceDriverAttach, deviceReleaseDriver } from './dd.ts';
import { deviceUevent } from './device-uevent.ts';
import { deviceAdd, deviceDel, deviceInitialize, deviceRename, getDevice, putDevice } from './device.ts';
import { driverRegister, driverUnregister } from './driver.ts';
import { createMisc } from './misc.ts';
import { IdaState, idaState } from './ida.ts';
import { KERN, imports } from './kernel.ts';
import { driverSetOverride } from './override.ts';
import { devPrintk } from './printk.ts';
import { busState, deviceState, driverState } from './state.ts';
import { WorkqueueSysfs } from './workqueue-sysfs.ts';

export default defineModule({
  name: 'driver_core',
  license: 'GPL',
  description: 'Buses, drivers, devices, classes and uevents',
  builtin: true,
  imports,
  weakImports: ['note_refusal'],
  exports: ['ida_init', 'ida_alloc_max', 'ida_free', 'dev_err', 'dev_warn', 'dev_notice', 'dev_info', 'dev_name', 'dev_set_drvdata', 'dev_get_drvdata'],
  exportsGpl: [
    'bus_register', 'bus_unregister', 'bus_devices', 'bus_drivers', 'find_bus', 'bus_find_device_by_name', 'bus_rescan_devices',
    'bus_register_notifier', 'bus_unregister_notifier',
    'device_initialize', 'device_add', 'device_del', 'device_unregister', 'device_rename', 'get_device', 'put_device',
    'device_create_file', 'device_remove_file', 'device_children', 'device_driver_attach', 'device_release_driver', 'device_attach', 'device_lock',
    'device_unlock', 'driver_register', 'driver_unregister', 'driver_devices', 'class_register', 'class_unregister',
    'workqueue_sysfs_register', 'workqueue_sysfs_unregister', 'cdev_device_add', 'cdev_device_del', 'misc_register', 'misc_deregister', 'devm_add_action', 'kobject_uevent', 'kobject_uevent_at', 'uevent_listen', 'uevent_unlisten',
    'driver_set_override', 'devices_dir', 'class_dir', 'kernel_dir', 'all_devices', 'driver_core_leftovers',
  ],

  async module_init(k, mod) {
    const { core, deferred, leftovers } = bootCore(k);
    const follow = (event: ModuleEvent): undefined => {
      leftovers.notify(event);
      core.moduleDirs.notify(event);
    };
    k.register_module_notifier(follow);
    mod.undo.push('module notifier', () => k.unregister_module_notifier(follow));

    const misc = createMisc(core);
    const workqueues = new WorkqueueSysfs(core);
    await workqueues.init();

    return {
      ksymtab: {
        ida_init: () => new IdaState(),
        ida_alloc_max: (ida, max) => idaState(ida).alloc(max),
        ida_free: (ida, n) => idaState(ida).free(n),

        bus_register: (bus) => busRegister(core, bus),
        bus_unregister: (bus) => busUnregister(core, bus),
        bus_devices: (bus) => busState(core, bus).devices.items(),
        bus_drivers: (bus) => busState(core, bus).drivers.items(),
        find_bus: (name) => [...core.buses.keys()].find((bus) => bus.name === name) ?? null,
        bus_find_device_by_name: (bus, name) => busFindDeviceByName(core, bus, name),
        bus_rescan_devices: (bus) => busRescanDevices(core, bus),
        bus_register_notifier: (bus, notifier): Atomic => void busState(core, bus).notifiers.add(notifier),
        bus_unregister_notifier: (bus, notifier): Atomic => void busState(core, bus).notifiers.delete(notifier),

        device_initialize: (init) => deviceInitialize(core, init),
        device_add: (dev) => deviceAdd(core, dev),
        device_del: (dev) => deviceDel(core, dev),
        device_unregister: async (dev) => {
          try {
            await deviceDel(core, dev);
          } finally {
            putDevice(core, dev); // a driver that fails to leave keeps no device alive
          }
        },
        device_rename: (dev, name) => deviceRename(core, dev, name),
        get_device: (dev) => getDevice(core, dev),
        put_device: (dev) => putDevice(core, dev),
        dev_name: (dev) => dev.name,
        dev_set_drvdata: (dev, data): Atomic => void (dev.driver_data = data),
        dev_get_drvdata: (dev) => dev.driver_data,
        device_create_file: (dev, attr): Atomic => {
          if (dev.sd === null) throw new Error(`device ${dev.name}: file ${attr.name} made while not in sysfs`);
          deviceState(core, dev).files.attribute(dev.sd, attr, dev);
        },
        device_remove_file: (dev, name): Atomic => {
          if (dev.sd !== null) deviceState(core, dev).files.removeByName(dev.sd, name);
        },
        device_children: (dev) => [...deviceState(core, dev).children],
        device_driver_attach: (drv, dev) => deviceDriverAttach(core, drv, dev),
        device_release_driver: (dev) => deviceReleaseDriver(core, dev),
        device_attach: (dev) => deviceAttach(core, dev),
        device_lock: (dev, wchan) => k.mutex_lock(dev.lock, wchan),
        device_unlock: (dev) => k.mutex_unlock(dev.lock),

        driver_register: (drv) => driverRegister(core, drv),
        driver_unregister: (drv) => driverUnregister(core, drv),
        driver_devices: (drv) => driverState(core, drv).devices.items(),
        class_register: (cls) => classRegister(core, cls),
        class_unregister: (cls) => classUnregister(core, cls),
        workqueue_sysfs_register: (wq, traits) => workqueues.register(wq, traits),
        workqueue_sysfs_unregister: (wq) => workqueues.unregister(wq),
        cdev_device_add: (dev, ops, owner, data) => cdevDeviceAdd(core, dev, ops, owner, data),
        cdev_device_del: (dev) => cdevDeviceDel(core, dev),
        ...misc,
        devm_add_action: (dev, what, undo): Atomic => void deviceState(core, dev).devres.push(what, undo),

        kobject_uevent: (dev, action, env) => deviceUevent(core, dev, action, env),
        kobject_uevent_at: (devpath, subsystem, action, env) => core.uevents.send(devpath, subsystem, action, env),
        uevent_listen: (listener) => core.uevents.listen(listener),
        uevent_unlisten: (listener) => core.uevents.unlisten(listener),
        driver_set_override: driverSetOverride,
        dev_err: (dev, text) => devPrintk(k, KERN.err, dev, text),
        dev_warn: (dev, text) => devPrintk(k, KERN.warning, dev, text),
        dev_notice: (dev, text) => devPrintk(k, KERN.notice, dev, text),
        dev_info: (dev, text) => devPrintk(k, KERN.info, dev, text),

        devices_dir: core.dirs.devices,
        class_dir: core.dirs.class,
        kernel_dir: core.dirs.kernel,
        all_devices: () => [...core.added],
        driver_core_leftovers: () => leftovers.report(),
      },
      module_exit: () => deferred.stop(),
    };
  },
});
