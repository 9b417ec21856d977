/** The virtio bus. Mirrors `drivers/virtio/virtio.c` (Linux 6.1). */
import { defineModule, DriverTable, UndoStack } from '@vdpalab/abi';
import type { Device, DeviceDriver } from '@vdpalab/driver-core';
import { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_FAILED } from '@vdpalab/uapi';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import { addStatus, deviceReady, virtioBus } from './bus.ts';
import { VirtioDeviceState } from './device.ts';
import type { VirtioDriver } from './header.ts';

const INT_MAX = 0x7fff_ffff;

export default defineModule({
  name: 'virtio',
  license: 'GPL',
  imports: [
    'bus_register', 'bus_unregister', 'driver_register', 'driver_unregister', 'device_initialize', 'device_add', 'device_unregister',
    'put_device', 'ida_init', 'ida_alloc_max', 'ida_free', 'dev_err', '__virtqueue_break',
  ],
  exportsGpl: [
    'register_virtio_device', 'unregister_virtio_device', 'register_virtio_driver', 'unregister_virtio_driver', 'virtio_add_status',
    'virtio_reset_device', 'virtio_config_changed', 'virtio_break_device', 'virtio_has_feature', 'virtio_device_ready',
    'virtio_find_vqs', 'virtio_del_vqs', 'dev_to_virtio',
  ],

  async module_init(k, { undo }) {
    const devices = new Map<Device, VirtioDeviceState>();
    const drivers = new DriverTable<VirtioDriver, DeviceDriver>(k);
    const indexes = k.ida_init();

    const of = (dev: Device): VirtioDeviceState => {
      const vdev = devices.get(dev);
      if (vdev === undefined) throw new Error(`${dev.name} is no virtio device`);
      return vdev;
    };
    const own = (vdev: VirtioDevice): VirtioDeviceState => of(vdev.dev);

    const bus = virtioBus(k, of, (drv) => drivers.of(drv));
    await k.bus_register(bus);
    undo.push('bus virtio', () => k.bus_unregister(bus));

    return {
      ksymtab: {
        async register_virtio_device(init) {
          const vdev = new VirtioDeviceState(k.ida_alloc_max(indexes, INT_MAX), init);
          vdev.dev = k.device_initialize({
            name: `virtio${vdev.index}`,
            parent: init.parent,
            bus,
            release(dev) {
              devices.delete(dev);
              k.ida_free(indexes, vdev.index);
              return init.release(vdev);
            },
          });
          devices.set(vdev.dev, vdev);
          const steps = new UndoStack();
          steps.push('device', () => k.put_device(vdev.dev));
          try {
            await vdev.config.reset(vdev);
            await addStatus(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
            await k.device_add(vdev.dev);
          } catch (error) {
            steps.push('status', () => addStatus(vdev, VIRTIO_CONFIG_S_FAILED));
            await steps.run();
            throw error;
          }
          return vdev;
        },
        unregister_virtio_device: (vdev) => k.device_unregister(vdev.dev),

        register_virtio_driver: (drv) => drivers.register(drv, { name: drv.name, bus, owner: drv.owner }),
        unregister_virtio_driver: (drv) => drivers.unregister(drv),

        virtio_has_feature: (vdev, bit) => own(vdev).has(bit),
        virtio_device_ready: (vdev) => deviceReady(own(vdev)),
        virtio_add_status: (vdev, status) => addStatus(own(vdev), status),
        virtio_reset_device: (vdev) => vdev.config.reset(vdev),
        virtio_config_changed: (vdev) => own(vdev).configChanged(),
        virtio_break_device(vdev) {
          for (const vq of vdev.vqs) k.__virtqueue_break(vq);
          return undefined;
        },
        async virtio_find_vqs(vdev, requests) {
          const found = await vdev.config.find_vqs(vdev, requests);
          own(vdev).vqs = found.filter((vq) => vq !== null);
          return found;
        },
        async virtio_del_vqs(vdev) {
          await vdev.config.del_vqs(vdev);
          own(vdev).vqs = [];
        },
        dev_to_virtio: of,
      },
      module_exit: () => undefined,
    };
  },
});
