/** vDPA bus. Mirrors `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { defineModule, DriverTable, KernelError, KERNEL_VERSION } from '@vdpalab/abi';
import type { DeviceDriver } from '@vdpalab/driver-core';
import { vdpaBus } from './bus.ts';
import { configSymbols } from './config.ts';
import { VdpaDevices } from './device.ts';
import type { VdpaDevice, VdpaDriver } from './header.ts';
import { Managers } from './managers.ts';
import { vdpaFamily } from './netlink.ts';

export default defineModule({
  name: 'vdpa',
  license: 'GPL v2',
  author: 'Jason Wang <jasowang@redhat.com>',
  imports: [
    'bus_register', 'bus_unregister', 'bus_devices', 'bus_find_device_by_name', 'driver_register', 'driver_unregister',
    'device_initialize', 'device_add', 'device_unregister', 'put_device', 'dev_get_drvdata', 'dev_set_drvdata', 'ida_init', 'ida_alloc_max', 'ida_free', 'dev_err', 'dma_set_mask_and_coherent',
    'iommu_device_use_default_domain', 'iommu_device_unuse_default_domain',
    'init_rwsem', 'down_read', 'up_read', 'down_write', 'up_write', 'current_task', 'genl_register_family', 'genl_unregister_family', 'capable',
  ],
  exports: ['vdpa_set_status'],
  exportsGpl: [
    '__vdpa_alloc_device', 'vdpa_register_device', 'vdpa_unregister_device', '_vdpa_register_device', '_vdpa_unregister_device',
    '__vdpa_register_driver', 'vdpa_unregister_driver', 'vdpa_mgmtdev_register', 'vdpa_mgmtdev_unregister', 'dev_to_vdpa',
    'vdpa_get_drvdata', 'vdpa_set_drvdata', 'vdpa_get_config', 'vdpa_set_config', 'vdpa_set_features', 'vdpa_reset',
    'vdpa_put_device', 'vdpa_mgmtdevs',
  ],

  async module_init(k, { THIS_MODULE, LINUX_VERSION_CODE, undo }) {
    const devices = new VdpaDevices(k);
    const drivers = new DriverTable<VdpaDriver, DeviceDriver>(k);
    const managers = new Managers();
    const lock = k.init_rwsem('vdpa_dev_lock');

    const bus = vdpaBus(k, devices, (drv) => drivers.of(drv));
    await k.bus_register(bus);
    undo.push('bus vdpa', () => k.bus_unregister(bus));

    function find(name: string): VdpaDevice | null {
      const dev = k.bus_find_device_by_name(bus, name);
      return dev?.name === name ? devices.of(dev) : null; // a newline does count here
    }

    const family = {
      ...vdpaFamily(k, { managers, find, devices: () => k.bus_devices(bus).map((dev) => devices.of(dev)), lock, later: LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9) }),
      module: THIS_MODULE,
    };
    k.genl_register_family(family);
    undo.push('netlink family vdpa', () => k.genl_unregister_family(family));

    /** `__vdpa_register_device`; the lock is held for writing. */
    async function add(vdev: VdpaDevice, nvqs: number): Promise<void> {
      if (find(vdev.dev.name) !== null) {
        throw new KernelError('EEXIST', 'vdpa.register.name', `${vdev.dev.name}: already on the vdpa bus`);
      }
      devices.own(vdev).nvqs = nvqs;
      managers.joined(vdev);
      try {
        await k.device_add(vdev.dev);
      } catch (error) {
        managers.left(vdev);
        throw error;
      }
    }

    async function remove(vdev: VdpaDevice): Promise<void> {
      try {
        await k.device_unregister(vdev.dev);
      } finally {
        managers.left(vdev);
      }
    }

    async function locked(wchan: string, body: () => Promise<void>): Promise<void> {
      await k.down_write(lock, wchan);
      try {
        await body();
      } finally {
        k.up_write(lock);
      }
    }

    return {
      ksymtab: {
        ...configSymbols(k),
        __vdpa_alloc_device: async (init) => devices.alloc(init, bus),
        vdpa_put_device: (vdev) => k.put_device(vdev.dev),
        vdpa_register_device: (vdev, nvqs) => locked('vdpa_register_device', () => add(vdev, nvqs)),
        vdpa_unregister_device: (vdev) => locked('vdpa_unregister_device', () => remove(vdev)),

        async _vdpa_register_device(vdev, nvqs) {
          if (vdev.mdev === null) throw new KernelError('EINVAL', 'vdpa.register.mdev', `${vdev.dev.name}: no management device`);
          if (lock.writer !== k.current_task()) {
            throw new KernelError('EINVAL', 'vdpa.register.lock', `${vdev.dev.name}: the management lock is not held`);
          }
          await add(vdev, nvqs);
        },
        _vdpa_unregister_device: (vdev) => remove(vdev),

        __vdpa_register_driver: (drv) => drivers.register(drv, { name: drv.name, bus, owner: drv.owner }),
        vdpa_unregister_driver: (drv) => drivers.unregister(drv),

        vdpa_mgmtdev_register: (mdev) => locked('vdpa_mgmtdev_register', async () => managers.add(mdev)),
        vdpa_mgmtdev_unregister: (mdev) => locked('vdpa_mgmtdev_unregister', async () => {
          for (const vdev of managers.remove(mdev)) await mdev.ops.dev_del(mdev, vdev);
        }),
        vdpa_mgmtdevs: () => [...managers.items()],

        dev_to_vdpa: (dev) => devices.of(dev),
        vdpa_get_drvdata: (vdev) => k.dev_get_drvdata(vdev.dev),
        vdpa_set_drvdata: (vdev, data) => k.dev_set_drvdata(vdev.dev, data),
      },
      module_exit: () => undefined,
    };
  },
});
