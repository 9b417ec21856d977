/** Mediated devices: the bus, the parents, their types in sysfs. Mirrors `drivers/vfio/mdev` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { createBus } from './bus.ts';
import { classSymbols } from './classes.ts';
import { createDevices } from './devices.ts';
import { createParents } from './parents.ts';

export default defineModule({
  name: 'mdev',
  license: 'GPL v2',
  description: 'Mediated device Core Driver',
  author: 'NVIDIA Corporation',
  version: '0.1',
  imports: [
    'bus_register', 'bus_unregister', 'driver_register', 'driver_unregister', 'device_initialize', 'device_add', 'device_del',
    'device_driver_attach', 'device_children', 'get_device', 'put_device', 'dev_err', 'dev_info', 'dev_warn', 'kobject_uevent', 'class_dir',
    'kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_link', 'kernfs_remove', 'kernfs_drain',
    'current_task', 'init_waitqueue_head', 'wait_event', 'wake_up', 'try_module_get', 'module_put',
  ],
  exportsGpl: [
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent', 'mdev_register_device',
    'mdev_unregister_device', 'mdev_from_dev', 'mdev_get_drvdata', 'mdev_set_drvdata',
    'mdev_set_class', 'mdev_set_virtio_ops', 'mdev_get_virtio_ops', 'mdev_set_vhost_ops', 'mdev_get_vhost_ops', 'mdev_set_iommu_device', 'mdev_get_iommu_device',
  ],

  async module_init(k, { undo }) {
    const { bus, driverOf, mdev_register_driver, mdev_unregister_driver } = createBus(k, (dev) => devices.of(dev)!); // only ours are on our bus
    const devices = createDevices(k, () => bus, (drv) => driverOf(drv)!); // a parent's driver is registered
    await k.bus_register(bus);
    undo.push('bus mdev', () => k.bus_unregister(bus));
    const compatClass = k.kernfs_create_dir(k.class_dir, 'mdev_bus'); // class_compat_register: a directory, and no class
    undo.push('class mdev_bus', () => k.kernfs_remove(compatClass));

    return {
      ksymtab: {
        mdev_register_driver, mdev_unregister_driver,
        ...createParents(k, compatClass, devices, (drv) => driverOf(drv) !== undefined),
        mdev_from_dev: (dev) => devices.of(dev),
        mdev_get_drvdata: (mdev) => mdev.driver_data,
        mdev_set_drvdata: (mdev, data) => void (mdev.driver_data = data) as undefined,
        ...classSymbols,
      },
      module_exit: () => undefined,
    };
  },
});
