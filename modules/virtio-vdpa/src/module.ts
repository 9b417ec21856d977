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
    '__vdpa_register_driver', 'vdpa_unregister_driver', 'vdpa_get_config', 'vdpa_set_config', 'vdpa_set_status', 'vdpa_set_features',
    'vdpa_reset', 'vdpa_get_drvdata', 'vdpa_set_drvdata', 'register_virtio_device', 'unregister_virtio_device',
    'virtio_config_changed', 'virtio_has_feature', 'vring_create_virtqueue', 'vring_del_virtqueue', 'vring_interrupt',
    'vring_transport_features', 'virtqueue_get_vring_size', 'virtqueue_get_desc_addr', 'virtqueue_get_avail_addr',
    'virtqueue_get_used_addr',
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
        k.vdpa_set_drvdata(vdpa, vdev);
      },

      remove: (vdpa: VdpaDevice) => k.unregister_virtio_device(k.vdpa_get_drvdata(vdpa) as VirtioDevice), // set by probe
    };
    await k.__vdpa_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.vdpa_unregister_driver(driver) };
  },
});
