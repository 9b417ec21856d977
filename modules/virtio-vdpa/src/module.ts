/** vDPA bus driver that makes a vDPA device a virtio device. Mirrors `drivers/virtio/virtio_vdpa.c` (Linux 6.1). */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { VdpaDevice, VdpaDriver } from '@vdpalab/vdpa-core';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import { createTransport } from './transport.ts';

export default defineModule({
  name: 'virtio_vdpa',
  license: 'GPL v2',
  description: 'vDPA bus driver for virtio devices',
  author: 'Jason Wang <jasowang@redhat.com>',
  version: '0.1',
  imports: [
    // In the order of the real module's symbol table, which a load without them shows.
    'vring_transport_features', 'virtqueue_get_avail_addr', 'vring_create_virtqueue', 'vdpa_unregister_driver', 'vring_interrupt',
    'virtio_config_changed', 'vdpa_get_config', 'virtqueue_get_vring_size', 'unregister_virtio_device', 'virtqueue_get_desc_addr',
    'vdpa_set_config', '__vdpa_register_driver', 'virtqueue_get_used_addr', 'register_virtio_device', 'vring_del_virtqueue', 'vdpa_set_status',
    'dev_get_drvdata', 'dev_set_drvdata',
  ],

  async module_init(k, { THIS_MODULE }) {
    const driver: VdpaDriver = {
      name: 'virtio_vdpa',
      owner: THIS_MODULE,
      model: 'virtio',

      async probe(vdpa: VdpaDevice) {
        const id = { device: vdpa.config.get_device_id(vdpa), vendor: vdpa.config.get_vendor_id(vdpa) };
        if (id.device === 0) throw new KernelError('EINVAL', 'virtio_vdpa.probe.id', `${vdpa.dev.name}: device id 0`);
        const vdev = await k.register_virtio_device({
          parent: vdpa.dma_dev,
          id,
          config: createTransport(k, vdpa),
          transport: vdpa,
          release: () => undefined,
        });
        k.dev_set_drvdata(vdpa.dev, vdev);
      },

      remove: (vdpa: VdpaDevice) => k.unregister_virtio_device(k.dev_get_drvdata(vdpa.dev) as VirtioDevice), // set by probe
    };
    await k.__vdpa_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.vdpa_unregister_driver(driver) };
  },
});
